/**
 * The one reader of JSON bodies of the REST API: bytes -> a value, or why not, with the place. Pure. It takes a part of
 * what `JSON.parse` takes: no invalid UTF-8, no nesting that a recursion after it could not stand, no name that is
 * given twice (RFC 8259 leaves open which of the two counts, and money must not hang on it), no name that reaches a
 * prototype, no number that a double turns into Infinity. Text with NUL or broken surrogates is refused by http.ts,
 * wherever it stands. A byte order mark before the text is skipped, as RFC 8259 (8.1) allows. Rejected options: a
 * reviver of `JSON.parse`, which never sees the first of two twins and recurses; secure-json-parse, which looks for
 * `__proto__` only, by a regular expression and then a walk over the value, and does not see twins either.
 */
import { isUtf8 } from 'node:buffer';
import { type OpenLevels, placeOf, scanJson, twinMessage, type Visitor } from '#platform/json/json-scan.ts';
import { parseJsonText, withoutMark } from '#platform/json/json-text.ts';

export const depthMax = 32;

export type JsonBody = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly reason: string };

/** Such a name reaches a prototype. */
const faultOfName = (name: string, { levels, depth }: OpenLevels): string | undefined => {
  if (name === '__proto__') return 'the name "__proto__" is not allowed';
  const parent = depth > 1 ? levels[depth - 2] : undefined;
  if (name === 'prototype' && parent?.isObject && parent.name === 'constructor')
    return 'the name "prototype" below "constructor" is not allowed';
  return undefined;
};

/** The shortest is 1e309, the shortest without an exponent has 309 digits: most numbers are never converted. */
const isInfinite = (source: string): boolean =>
  (source.length > 308 || /[eE]/.test(source)) && Math.abs(Number(source)) === Number.POSITIVE_INFINITY;

const judge: Visitor = {
  onName: (name, isTwin, open) => (isTwin ? twinMessage(name) : faultOfName(name, open)),
  onNumber: (source) => (isInfinite(source) ? 'the number is too large' : undefined),
};

const refused = (reason: string): JsonBody => ({ ok: false, reason });

export const parseJsonBody = (bytes: Buffer): JsonBody => {
  if (!isUtf8(bytes)) return refused('the body is not valid UTF-8');
  const text = withoutMark(bytes).toString('utf8');
  if (/^[\t\n\r ]*$/.test(text)) return refused('the body is empty');
  const refusal = scanJson(text, depthMax, judge);
  if (refusal) return refused(`${refusal.what}, at ${placeOf(text, refusal.at)}`);
  try {
    return { ok: true, value: parseJsonText(text) };
  } catch (error) {
    return refused((error as Error).message);
  }
};
