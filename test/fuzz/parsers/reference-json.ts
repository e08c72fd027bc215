/**
 * JSON as its text says it, with numbers as they are written. Plain and slow: it is what the product's readers are
 * compared with.
 */

type JsonNumber = { readonly kind: 'number'; readonly source: string };
export type JsonArray = { readonly kind: 'array'; readonly items: readonly JsonValue[] };
/** `twice`: the names that it has twice, however they are spelt. */
export type JsonObject = {
  readonly kind: 'object';
  readonly fields: ReadonlyMap<string, JsonValue>;
  readonly twice?: ReadonlySet<string>;
};
export type JsonValue = null | boolean | string | JsonNumber | JsonArray | JsonObject;

export const isObject = (value: JsonValue | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && value.kind === 'object';
export const isArray = (value: JsonValue | undefined): value is JsonArray =>
  typeof value === 'object' && value !== null && value.kind === 'array';

/** Reads a text. Throws what JSON.parse throws; that also proves the text, so that the reader below need not. */
export const readJson = (text: string): JsonValue => {
  JSON.parse(text);
  let at = 0;
  const skip = (): void => {
    while (' \t\n\r'.includes(text.charAt(at)) && at < text.length) at += 1;
  };
  const readString = (): string => {
    const from = at;
    for (at += 1; text[at] !== '"'; at += 1) if (text[at] === '\\') at += 1;
    at += 1;
    return JSON.parse(text.slice(from, at));
  };
  /** Steps over a comma, if there is one; says whether the list goes on. */
  const goesOn = (close: string): boolean => {
    skip();
    if (text[at] === ',') at += 1;
    skip();
    if (text[at] !== close) return true;
    at += 1;
    return false;
  };
  const readValue = (): JsonValue => {
    skip();
    const first = text[at];
    if (first === '"') return readString();
    if (first === '[') {
      const items: JsonValue[] = [];
      at += 1;
      while (goesOn(']')) items.push(readValue());
      return { kind: 'array', items };
    }
    if (first === '{') {
      const fields = new Map<string, JsonValue>();
      const twice = new Set<string>();
      at += 1;
      while (goesOn('}')) {
        const name = readString();
        skip();
        at += 1;
        if (fields.has(name)) twice.add(name);
        fields.set(name, readValue());
      }
      return { kind: 'object', fields, ...(twice.size > 0 ? { twice } : {}) };
    }
    const from = at;
    while (/[-+.\w]/.test(text.charAt(at))) at += 1;
    const source = text.slice(from, at);
    if (source === 'null') return null;
    if (source === 'true' || source === 'false') return source === 'true';
    return { kind: 'number', source };
  };
  return readValue();
};

/** Whether an object has a name twice, it or one that is anywhere in it. */
export const hasTwinsWithin = (value: JsonValue): boolean => {
  if (isArray(value)) return value.items.some(hasTwinsWithin);
  return isObject(value) && (value.twice !== undefined || [...value.fields.values()].some(hasTwinsWithin));
};

/** How many objects and arrays a text opens in each other, whether it is JSON or not. */
export const nestingOf = (text: string): number => {
  let [depth, deepest] = [0, 0];
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\[\s\S])*(?:"|$|\\$)|[[{]|[\]}]/g)) {
    if (token === '[' || token === '{') depth += 1;
    else if (token === ']' || token === '}') depth = Math.max(0, depth - 1);
    deepest = Math.max(deepest, depth);
  }
  return deepest;
};

const wholeDigitsMax = 40;
const fractionDigitsMax = 52;

/** The plain decimal digits of a number, from its text; undefined where it has more of them than any meter reads. */
export const plainDigits = (source: string): string | undefined => {
  const match = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(source);
  if (!match) throw new Error(`no number: ${source}`);
  const [, sign, whole = '', fraction = '', exponent = '0'] = match;
  const all = whole + fraction;
  const first = all.search(/[1-9]/);
  if (first < 0) return '0';
  let last = all.length - 1;
  while (all[last] === '0') last -= 1;
  const digits = all.slice(first, last + 1);
  // The power of ten that the first digit stands for.
  const power = whole.length - 1 - first + Number(exponent);
  if (power >= wholeDigitsMax || digits.length - 1 - power > fractionDigitsMax) return undefined;
  if (power < 0) return `${sign}0.${'0'.repeat(-power - 1)}${digits}`;
  const padded = digits.padEnd(power + 1, '0');
  const behind = padded.slice(power + 1);
  return `${sign}${padded.slice(0, power + 1)}${behind === '' ? '' : `.${behind}`}`;
};
