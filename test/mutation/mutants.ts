/**
 * Small faults of a source file, one at a time: an operator turned round, a bound moved by one, a literal changed, a
 * statement or a branch taken away, two arguments swapped. What stands in a type, or is only read by people, is left
 * alone.
 */
import { parseAst } from 'vitest/node';

export type Mutant = {
  /** From the root of the repository. */
  readonly path: string;
  readonly line: number;
  /** Of the text that is replaced. */
  readonly start: number;
  readonly end: number;
  readonly before: string;
  readonly after: string;
};

type Node = { readonly type: string; readonly start: number; readonly end: number; readonly [name: string]: unknown };

const isNode = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && typeof (value as Node).type === 'string';

/** By operator: what stands in its place. */
const otherOperators: ReadonlyMap<unknown, readonly string[]> = new Map([
  ['<', ['<=', '>=']],
  ['<=', ['<', '>']],
  ['>', ['>=', '<=']],
  ['>=', ['>', '<']],
  ['===', ['!==']],
  ['!==', ['===']],
  ['+', ['-']],
  ['-', ['+']],
  ['*', ['/']],
  ['/', ['*']],
  ['%', ['*']],
  ['**', ['*']],
  ['&&', ['||']],
  ['||', ['&&']],
  ['??', ['&&']],
  ['+=', ['-=']],
  ['-=', ['+=']],
]);

/** By the name of what is called: what is called in its place, where the file knows it. */
const otherCalls: ReadonlyMap<unknown, string> = new Map([
  ['some', 'every'],
  ['every', 'some'],
  ['padStart', 'padEnd'],
  ['padEnd', 'padStart'],
  ['minQuantity', 'maxQuantity'],
  ['maxQuantity', 'minQuantity'],
  ['addQuantities', 'subtractQuantities'],
  ['subtractQuantities', 'addQuantities'],
]);

/** Their two arguments may change places: that is no fault. */
const commutative: readonly unknown[] = [
  'addQuantities',
  'minQuantity',
  'maxQuantity',
  'addAmounts',
  'addPrecise',
  'assert',
];

/** A wrong form of a regular expression: without one of its anchors. */
const otherPatterns = (text: string): string[] => [
  ...(text.startsWith('/^') ? [text.replace('/^', '/')] : []),
  ...(/\$\/[a-z]*$/.test(text) ? [text.replace(/\$(\/[a-z]*)$/, '$1')] : []),
];

/** Words for people, and JSON schemas: these are held against every body elsewhere, in the tests of the documents. */
const isForPeople = (node: Node): boolean =>
  node.type === 'Property' &&
  isNode(node.key) &&
  ['message', 'title', 'description', 'examples', 'schema', 'schemas'].includes(String(node.key.name));

/** Only what is there when the program runs: of `a as T` it is `a`. */
const isErased = ({ type }: Node): boolean =>
  (type.startsWith('TS') && !['TSAsExpression', 'TSSatisfiesExpression', 'TSNonNullExpression'].includes(type)) ||
  type.startsWith('Import') ||
  type === 'TemplateElement';

/** Arguments that only people read: of an assertion and of an error, the last. */
const forPeopleIn = (node: Node): readonly unknown[] => {
  const callee = node.callee as Node;
  const name = String((callee.type === 'MemberExpression' ? (callee.object as Node) : callee).name ?? '');
  const values = node.arguments as readonly unknown[];
  if (node.type === 'NewExpression') return values;
  if (/^(?:Amount|amount|optionalAmount|quantity|positiveQuantity|rate|count|choice|property).*Field$/.test(name))
    return values.slice(-1);
  return name === 'assert' && values.length > 1 ? values.slice(-1) : [];
};

const literals = (node: Node, text: string): string[] => {
  if (typeof node.bigint === 'string') return [text === '0n' ? '1n' : `(${text} + 1n)`];
  if (typeof node.value === 'number') return [text === '0' ? '1' : `(${text} + 1)`];
  if (typeof node.value === 'boolean') return [String(!node.value)];
  if (typeof node.value === 'string') return [node.value === '' ? "'mutant'" : "''"];
  return node.regex ? otherPatterns(text) : [];
};

export const mutantsOf = (path: string, source: string): Mutant[] => {
  const mutants: Mutant[] = [];
  const textOf = ({ start, end }: Pick<Node, 'start' | 'end'>): string => source.slice(start, end);
  const add = (at: Pick<Node, 'start' | 'end'>, after: string): void => {
    const line = source.slice(0, at.start).split('\n').length;
    mutants.push({ path, line, start: at.start, end: at.end, before: textOf(at), after });
  };
  /** The operator between two nodes, with nothing else around it but blanks. */
  const addOperators = (left: Node, right: Node, operator: string): void => {
    const at = source.indexOf(operator, left.end);
    if (at < 0 || at >= right.start) return;
    for (const other of otherOperators.get(operator) ?? []) add({ start: at, end: at + operator.length }, other);
  };
  const addOf = (node: Node): void => {
    switch (node.type) {
      case 'BinaryExpression':
      case 'LogicalExpression':
      case 'AssignmentExpression':
        addOperators(node.left as Node, node.right as Node, node.operator as string);
        break;
      case 'UnaryExpression':
        if (['-', '!'].includes(node.operator as string)) add(node, textOf(node.argument as Node));
        break;
      case 'ConditionalExpression':
      case 'IfStatement':
        for (const value of ['true', 'false']) add(node.test as Node, value);
        break;
      case 'Literal':
        for (const other of literals(node, textOf(node))) add(node, other);
        break;
      case 'TemplateLiteral':
        add(node, "''");
        break;
      case 'ArrayExpression':
        if ((node.elements as unknown[]).length > 0) add(node, '[]');
        break;
      case 'ExpressionStatement':
      case 'BreakStatement':
      case 'ContinueStatement':
      case 'ThrowStatement':
        add(node, ';');
        break;
      case 'ReturnStatement':
        if (textOf(node) !== 'return undefined;')
          add(node, node.argument === null ? ';' : 'return undefined as never;');
        break;
      case 'MemberExpression': {
        const name = node.property as Node;
        const other = otherCalls.get(name.name);
        if (other !== undefined) add(name, other);
        if (node.optional === true) add({ start: (node.object as Node).end, end: name.start }, '.');
        break;
      }
      case 'CallExpression': {
        const callee = node.callee as Node;
        const other = otherCalls.get(callee.name);
        if (other !== undefined && source.includes(other)) add(callee, other);
        if (commutative.includes(callee.name ?? (callee.object as Node | undefined)?.name)) break;
        const values = (node.arguments as Node[]).filter((one) => !forPeopleIn(node).includes(one));
        for (const [index, second] of values.entries()) {
          const first = values[index - 1];
          if (!first || textOf(first) === textOf(second)) continue;
          // Zeros of different units are one number.
          if (/^zero/.test(textOf(first)) && /^zero/.test(textOf(second))) continue;
          const between = source.slice(first.end, second.start);
          add({ start: first.start, end: second.end }, `${textOf(second)}${between}${textOf(first)}`);
        }
        break;
      }
    }
  };
  const visit = (node: Node): void => {
    if (isErased(node) || isForPeople(node)) return;
    addOf(node);
    const skipped = node.type === 'CallExpression' || node.type === 'NewExpression' ? forPeopleIn(node) : [];
    for (const [name, value] of Object.entries(node)) {
      // The name of a member is no text.
      if (name === 'key' && node.computed !== true) continue;
      for (const child of Array.isArray(value) ? value : [value])
        if (isNode(child) && !skipped.includes(child)) visit(child);
    }
  };
  visit(parseAst(source, { lang: 'ts' }) as unknown as Node);
  return mutants;
};

export const withMutant = (source: string, { start, end, after }: Mutant): string =>
  source.slice(0, start) + after + source.slice(end);
