/**
 * One pass over a text before it is parsed, without recursion and without a value: how deep it nests, and which names
 * it gives twice in one object (RFC 8259 leaves open which of the two counts; `JSON.parse` silently takes the last).
 * Pure. It judges only that; whether the text is JSON, `JSON.parse` says.
 */

/**
 * An object or array that is open. Sets are kept for the next one at the same depth: a body may hold 100 000 small
 * objects.
 */
type Level = {
  isObject: boolean;
  expectsName: boolean;
  /** Of an object: the name whose value is being read. */
  name: string;
  /** Of an array: the place of the item that is being read. */
  index: number;
  readonly names: Set<string>;
};

/** From the outermost to the one that is being read; what lies behind `depth` is closed. */
export type OpenLevels = { readonly levels: readonly Level[]; readonly depth: number };

export type Refusal = { readonly at: number; readonly what: string };

/** Each may end the pass with words for what is wrong. */
export type Visitor = {
  readonly onName: (name: string, isTwin: boolean, open: OpenLevels, at: number) => string | undefined;
  readonly onNumber?: (source: string) => string | undefined;
};

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

/**
 * Two spellings of one name are twins, too: `"a"` and `"\u0061"`. Undefined where it is no JSON string; then
 * `JSON.parse` says so.
 */
const nameBetween = (text: string, start: number, end: number): string | undefined => {
  const raw = text.slice(start + 1, end);
  if (!raw.includes('\\')) return raw;
  try {
    return JSON.parse(`"${raw}"`);
  } catch {
    return undefined;
  }
};

const isOfNumber = (code: number): boolean =>
  (code >= 0x30 && code <= 0x39) || code === 0x2b || code === 0x2d || code === 0x2e || code === 0x45 || code === 0x65;

const endOfNumber = (text: string, from: number): number => {
  let at = from + 1;
  while (at < text.length && isOfNumber(text.charCodeAt(at))) at += 1;
  return at;
};

class Levels implements OpenLevels {
  readonly levels: Level[] = [];
  depth = 0;

  get current(): Level | undefined {
    return this.depth === 0 ? undefined : this.levels[this.depth - 1];
  }

  open(isObject: boolean): Level {
    let level = this.levels[this.depth];
    if (!level) {
      level = { isObject, expectsName: isObject, name: '', index: 0, names: new Set() };
      this.levels.push(level);
    } else {
      level.isObject = isObject;
      level.expectsName = isObject;
      level.name = '';
      level.index = 0;
      if (level.names.size > 0) level.names.clear();
    }
    this.depth += 1;
    return level;
  }

  close(): Level | undefined {
    if (this.depth > 0) this.depth -= 1;
    return this.current;
  }
}

/** What ended the pass: text that nests deeper than `depthMax`, or the words of the visitor. */
export const scanJson = (text: string, depthMax: number, { onName, onNumber }: Visitor): Refusal | undefined => {
  const open = new Levels();
  let level: Level | undefined;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === quote) {
      const start = at;
      at = endOfString(text, at);
      if (!level?.expectsName) continue;
      level.expectsName = false;
      const name = nameBetween(text, start, at);
      if (name === undefined) continue;
      level.name = name;
      const { size } = level.names.add(name);
      const isTwin = size === level.index;
      // An object counts its names where an array counts its items.
      level.index = size;
      const what = onName(name, isTwin, open, start);
      if (what !== undefined) return { at: start, what };
    } else if (code === 0x7b || code === 0x5b) {
      if (open.depth === depthMax) return { at, what: `it is nested deeper than ${depthMax}` };
      level = open.open(code === 0x7b);
    } else if (code === 0x7d || code === 0x5d) {
      level = open.close();
    } else if (code === 0x2c) {
      if (level?.isObject) level.expectsName = true;
      else if (level) level.index += 1;
    } else if (onNumber && (code === 0x2d || (code >= 0x30 && code <= 0x39))) {
      const end = endOfNumber(text, at);
      const what = end - at > 4 ? onNumber(text.slice(at, end)) : undefined;
      if (what !== undefined) return { at, what };
      at = end - 1;
    }
  }
  return undefined;
};

const shownMax = 64;

/** A name may have megabytes; its beginning is told. */
const shownName = (name: string): string =>
  JSON.stringify(name.length > shownMax ? `${name.slice(0, shownMax)}...` : name);

export const twinMessage = (name: string): string => `the name ${shownName(name)} is given twice in one object`;

/** As editors count: lines and columns from 1. */
export const placeOf = (text: string, at: number): string => {
  let line = 1;
  let start = 0;
  for (let next = text.indexOf('\n'); next >= 0 && next < at; next = text.indexOf('\n', start)) {
    line += 1;
    start = next + 1;
  }
  return `line ${line}, column ${at - start + 1}`;
};
