/**
 * Arithmetic over the properties of one event: + - * / ( ), unary minus, decimal literals, property paths. A path is of
 * names (letters, digits and underscores, not a digit first) joined by dots; any other name stands in double quotes.
 * Parsed here to a tree; its text never becomes text of a query.
 */
import { isPropertyPath, propertyAbout } from '#schemas/property-path.ts';

export type Expression =
  | { readonly kind: 'literal'; readonly text: string }
  | { readonly kind: 'property'; readonly path: string }
  | { readonly kind: 'negative'; readonly of: Expression }
  | { readonly kind: 'binary'; readonly operator: Operator; readonly left: Expression; readonly right: Expression };

type Operator = '+' | '-' | '*' | '/';

export const expressionCharactersMax = 1_000;
/** Levels of the tree: each operator, minus and pair of parentheses is one. */
export const expressionDepthMax = 32;
const expressionPropertiesMax = 20;

/** `column` counts characters from 1. */
type ExpressionFault = { readonly column: number; readonly message: string };
export type ParsedExpression =
  | { readonly ok: true; readonly value: Expression }
  | { readonly ok: false; readonly fault: ExpressionFault };

type Token = { readonly kind: 'literal' | 'path' | 'sign' | 'end'; readonly text: string; readonly at: number };

class Refused extends Error {
  readonly at: number;
  constructor(at: number, message: string) {
    super(message);
    this.at = at;
  }
}

const space = /[ \t\r\n]*/y;
const literal = /[0-9]+(?:\.[0-9]+)?/y;
const pathPart = /[A-Za-z_][A-Za-z0-9_]*|"[^"]*"/y;
const sign = /[-+*/()]/y;
/** What may not stand right behind a literal: "1x" and "1.2.3" are no products. */
const wordAhead = /[A-Za-z0-9_."]/y;

/** What was meant by a character of another notation. */
const hints: ReadonlyMap<string, string> = new Map([
  ['$', ': a path begins inside the properties of an event, so write n for the property n'],
  ['[', ': an array is kept as one JSON text, whose items have no path'],
]);

const matchAt = (pattern: RegExp, text: string, at: number): string | undefined => {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0];
};

const readPath = (text: string, from: number): { readonly token: Token; readonly next: number } | undefined => {
  const parts: string[] = [];
  let at = from;
  for (;;) {
    const part = matchAt(pathPart, text, at);
    if (part === undefined) {
      if (parts.length === 0) return undefined;
      throw new Refused(at, 'a name must follow the dot');
    }
    parts.push(part.startsWith('"') ? part.slice(1, -1) : part);
    at += part.length;
    if (text[at] !== '.') break;
    at += 1;
  }
  const path = parts.join('.');
  if (!isPropertyPath(path)) throw new Refused(from, `a property must be ${propertyAbout}`);
  return { token: { kind: 'path', text: path, at: from }, next: at };
};

const tokensOf = (text: string): Token[] => {
  const tokens: Token[] = [];
  for (let at = 0; ; ) {
    at += matchAt(space, text, at)?.length ?? 0;
    if (at >= text.length) return [...tokens, { kind: 'end', text: 'the end', at }];
    const path = readPath(text, at);
    const number = matchAt(literal, text, at);
    if (path) {
      tokens.push(path.token);
      at = path.next;
    } else if (number !== undefined) {
      tokens.push({ kind: 'literal', text: number, at });
      at += number.length;
    } else {
      const one = matchAt(sign, text, at);
      if (one === undefined)
        throw new Refused(
          at,
          `${JSON.stringify(String.fromCodePoint(text.codePointAt(at) ?? 0))} has no meaning here${hints.get(text[at] as string) ?? ''}`,
        );
      tokens.push({ kind: 'sign', text: one, at });
      at += 1;
      continue;
    }
    if (matchAt(wordAhead, text, at) !== undefined) throw new Refused(at, 'an operator must stand between two values');
  }
};

/** A tree, and how many levels it has. */
type Built = { readonly tree: Expression; readonly levels: number };

const deeper = (levels: number, at: number): number => {
  if (levels >= expressionDepthMax) throw new Refused(at, `nests more than ${expressionDepthMax} deep`);
  return levels + 1;
};

const binary = (operator: Operator, left: Built, right: Built, at: number): Built => {
  if (operator === '/' && right.tree.kind === 'literal' && /^[0.]+$/.test(right.tree.text))
    throw new Refused(at, 'divides by zero');
  return {
    tree: { kind: 'binary', operator, left: left.tree, right: right.tree },
    levels: deeper(Math.max(left.levels, right.levels), at),
  };
};

const buildTree = (tokens: readonly Token[]): Expression => {
  let index = 0;
  const peek = (): Token => tokens[index] as Token;
  const taken = (signs: string): Token | undefined => {
    const token = peek();
    if (token.kind !== 'sign' || !signs.includes(token.text)) return undefined;
    index += 1;
    return token;
  };
  const chain = (signs: string, operand: (depth: number) => Built, depth: number): Built => {
    let left = operand(depth);
    for (let token = taken(signs); token; token = taken(signs))
      left = binary(token.text as Operator, left, operand(depth), token.at);
    return left;
  };
  const sum = (depth: number): Built => chain('+-', product, depth);
  const product = (depth: number): Built => chain('*/', unary, depth);
  // `depth` bounds the recursion before there is a tree whose levels could be counted.
  const unary = (depth: number): Built => {
    const minus = taken('-');
    if (!minus) return primary(depth);
    const { tree, levels } = unary(deeper(depth, minus.at));
    return { tree: { kind: 'negative', of: tree }, levels: deeper(levels, minus.at) };
  };
  const primary = (depth: number): Built => {
    const open = taken('(');
    if (open) {
      const inner = sum(deeper(depth, open.at));
      if (!taken(')')) throw new Refused(peek().at, `${shown(peek())} stands where an operator or ) is expected`);
      return { tree: inner.tree, levels: deeper(inner.levels, open.at) };
    }
    const token = peek();
    index += 1;
    if (token.kind === 'literal') return { tree: { kind: 'literal', text: token.text }, levels: 1 };
    if (token.kind === 'path') return { tree: { kind: 'property', path: token.text }, levels: 1 };
    throw new Refused(token.at, `${shown(token)} stands where a value is expected`);
  };
  const { tree } = sum(1);
  if (peek().kind !== 'end')
    throw new Refused(peek().at, `${shown(peek())} stands where an operator or the end is expected`);
  return tree;
};

const shown = ({ kind, text }: Token): string => (kind === 'end' ? text : JSON.stringify(text));

/** Reads the text of an expression; a fault names the column. */
export const parseExpression = (text: string): ParsedExpression => {
  if (text.length > expressionCharactersMax) {
    return {
      ok: false,
      fault: { column: expressionCharactersMax + 1, message: `has more than ${expressionCharactersMax} characters` },
    };
  }
  try {
    const value = buildTree(tokensOf(text));
    const { length } = propertiesOf(value);
    if (length === 0) throw new Refused(0, 'names no property');
    if (length > expressionPropertiesMax) throw new Refused(0, `names more than ${expressionPropertiesMax} properties`);
    return { ok: true, value };
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return { ok: false, fault: { column: [...text.slice(0, error.at)].length + 1, message: error.message } };
  }
};

/** The properties that an expression reads, each once, in the order of their first use. */
export const propertiesOf = (expression: Expression): string[] => {
  const paths = new Set<string>();
  const visit = (node: Expression): void => {
    if (node.kind === 'property') paths.add(node.path);
    if (node.kind === 'negative') visit(node.of);
    if (node.kind !== 'binary') return;
    visit(node.left);
    visit(node.right);
  };
  visit(expression);
  return [...paths];
};
