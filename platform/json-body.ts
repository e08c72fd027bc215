/**
 * The one reader of JSON bodies of the REST API: bytes -> a value, or why not, with the place. Pure. It takes a part of what `JSON.parse` takes: no
 * invalid UTF-8, no byte order mark, no nesting that a recursion after it could not stand, no name that is given twice (RFC 8259 leaves open
 * which of the two counts, and money must not hang on it), no name that reaches a prototype, no number that a double turns into Infinity.
 * Text with NUL or broken surrogates is refused by http.ts, wherever it stands.
 * Rejected options: a reviver of `JSON.parse`, which never sees the first of two twins and recurses; secure-json-parse, which looks for
 * `__proto__` only, by a regular expression and then a walk over the value, and does not see twins either.
 */
import { isUtf8 } from 'node:buffer';
import { parseJsonText } from '#platform/json-text.ts';

export const depthMax = 32;

export type JsonBody = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly reason: string };

type Refusal = { readonly at: number; readonly what: string };

/** An object or array that is open. Sets are kept for the next one at the same depth: a body may hold 100 000 small objects. */
type Level = {
  isObject: boolean;
  expectsName: boolean;
  /** The name whose value is being read. */
  name: string;
  /** It is the value of a name `constructor`. */
  isConstructor: boolean;
  names: Set<string>;
};

const shownMax = 64;
const shown = (name: string): string => JSON.stringify(name.length > shownMax ? `${name.slice(0, shownMax)}...` : name);

const backslash = 0x5c;
const quote = 0x22;

/** The place of the closing quote of the string that begins at `from`; the length of the text where there is none. */
const endOfString = (text: string, from: number): number => {
  for (let at = from + 1; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === quote) return at;
    if (code === backslash) at += 1;
  }
  return text.length;
};

/** Two spellings of one name are twins, too: `"a"` and `"\u0061"`. Undefined where it is no JSON string; then `JSON.parse` says so. */
const nameBetween = (text: string, start: number, end: number): string | undefined => {
  const raw = text.slice(start + 1, end);
  if (!raw.includes('\\')) return raw;
  try {
    return JSON.parse(`"${raw}"`);
  } catch {
    return undefined;
  }
};

const faultOfName = (level: Level, name: string): string | undefined => {
  if (level.names.has(name)) return `the name ${shown(name)} is given twice in one object`;
  if (name === '__proto__') return 'the name "__proto__" is not allowed';
  if (name === 'prototype' && level.isConstructor) return 'the name "prototype" below "constructor" is not allowed';
  return undefined;
};

const isOfNumber = (code: number): boolean =>
  (code >= 0x30 && code <= 0x39) || code === 0x2b || code === 0x2d || code === 0x2e || code === 0x45 || code === 0x65;

const endOfNumber = (text: string, from: number): number => {
  let at = from + 1;
  while (at < text.length && isOfNumber(text.charCodeAt(at))) at += 1;
  return at;
};

/** The shortest is 1e309, the shortest without an exponent has 309 digits: most numbers are never converted. */
const isInfinite = (source: string): boolean =>
  (source.length > 308 || /[eE]/.test(source)) && Math.abs(Number(source)) === Number.POSITIVE_INFINITY;

/** One pass, without recursion. It judges only what it is for; whether the text is JSON, `JSON.parse` says. */
const refusalIn = (text: string): Refusal | undefined => {
  const levels: Level[] = [];
  let depth = 0;
  let level: Level | undefined;
  const open = (isObject: boolean): void => {
    const isConstructor = isObject && level?.isObject === true && level.name === 'constructor';
    level = levels[depth];
    if (!level) {
      level = { isObject, expectsName: isObject, name: '', isConstructor, names: new Set() };
      levels.push(level);
    } else {
      level.isObject = isObject;
      level.expectsName = isObject;
      level.isConstructor = isConstructor;
      if (level.names.size > 0) level.names.clear();
    }
    depth += 1;
  };
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === quote) {
      const start = at;
      at = endOfString(text, at);
      if (!level?.expectsName) continue;
      level.expectsName = false;
      const name = nameBetween(text, start, at);
      if (name === undefined) continue;
      const what = faultOfName(level, name);
      if (what !== undefined) return { at: start, what };
      level.names.add(name);
      level.name = name;
    } else if (code === 0x7b || code === 0x5b) {
      if (depth === depthMax) return { at, what: `it is nested deeper than ${depthMax}` };
      open(code === 0x7b);
    } else if (code === 0x7d || code === 0x5d) {
      depth = Math.max(0, depth - 1);
      level = depth === 0 ? undefined : levels[depth - 1];
    } else if (code === 0x2c) {
      if (level) level.expectsName = level.isObject;
    } else if (code === 0x2d || (code >= 0x30 && code <= 0x39)) {
      const end = endOfNumber(text, at);
      if (end - at > 4 && isInfinite(text.slice(at, end))) return { at, what: 'the number is too large' };
      at = end - 1;
    }
  }
  return undefined;
};

/** As editors count: lines and columns from 1. */
const placeOf = (text: string, at: number): string => {
  let line = 1;
  let start = 0;
  for (let next = text.indexOf('\n'); next >= 0 && next < at; next = text.indexOf('\n', start)) {
    line += 1;
    start = next + 1;
  }
  return `line ${line}, column ${at - start + 1}`;
};

const refused = (reason: string): JsonBody => ({ ok: false, reason });

export const parseJsonBody = (bytes: Buffer): JsonBody => {
  if (!isUtf8(bytes)) return refused('the body is not valid UTF-8');
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf)
    return refused('the body begins with a byte order mark: send it without');
  const text = bytes.toString('utf8');
  if (/^[\t\n\r ]*$/.test(text)) return refused('the body is empty');
  const refusal = refusalIn(text);
  if (refusal) return refused(`${refusal.what}, at ${placeOf(text, refusal.at)}`);
  try {
    return { ok: true, value: parseJsonText(text) };
  } catch (error) {
    return refused((error as Error).message);
  }
};
