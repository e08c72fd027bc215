/**
 * `JSON.parse` for the text of a caller, without a defect of V8 (nodejs/node#63785; 12.8 to 14.6 at least): it takes a
 * name with an escape for the name that an object of the same beginning had before, if that is what its text begins
 * with. Once anyone has sent `{"a":1,"gr\\u0":0}`, the name in `{"a":1,"gr\u00f6sse":2}` is read as `gr\u0`, whoever
 * sends it. So a text with such a name is read here, string by string. Pure.
 */

const quote = 0x22;
const backslash = 0x5c;
const colon = 0x3a;

/** The place of the closing quote of the string that begins at `from`; the text is known to be JSON. */
const endOfString = (text: string, from: number): number => {
  let at = from + 1;
  for (let code = text.charCodeAt(at); code !== quote; code = text.charCodeAt(at)) at += code === backslash ? 2 : 1;
  return at;
};

const isSpace = (code: number): boolean => code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;

const hasEscapedName = (text: string): boolean => {
  let backslashAt = text.indexOf('\\');
  if (backslashAt < 0) return false;
  for (let from = text.indexOf('"'); from >= 0; ) {
    const end = endOfString(text, from);
    if (backslashAt < end) {
      let behind = end + 1;
      while (isSpace(text.charCodeAt(behind))) behind += 1;
      if (text.charCodeAt(behind) === colon) return true;
      backslashAt = text.indexOf('\\', end);
      if (backslashAt < 0) return false;
    }
    from = text.indexOf('"', end + 1);
  }
  return false;
};

/** An object or array that is open; an array has no names. */
type Level = { readonly names: string[] | undefined; readonly values: unknown[] };

/** Own properties, `__proto__` too, and of twins the last: as `JSON.parse` makes them. */
const closed = ({ names, values }: Level): unknown =>
  names ? Object.fromEntries(names.map((name, at) => [name, values[at]])) : values;

const scalar = /[^ \n\r\t,\]}]+/y;
const words = new Map<string, unknown>([
  ['null', null],
  ['true', true],
  ['false', false],
]);

/** Reads a text that is known to be JSON, without recursion: nesting is bounded by nothing but its length. */
const readText = (text: string): unknown => {
  const open: Level[] = [];
  for (let at = 0; at < text.length; ) {
    const first = text[at] as string;
    let value: unknown;
    if (first === '{' || first === '[') {
      open.push({ names: first === '{' ? [] : undefined, values: [] });
      at += 1;
      continue;
    }
    if (first === '"') {
      const end = endOfString(text, at);
      const raw = text.slice(at, end + 1);
      // A string by itself is no name, and read well.
      value = raw.includes('\\') ? JSON.parse(raw) : raw.slice(1, -1);
      at = end + 1;
      const { names, values } = open.at(-1) ?? {};
      if (names && names.length === values?.length) {
        names.push(value as string);
        continue;
      }
    } else if (first === '}' || first === ']') {
      value = closed(open.pop() as Level);
      at += 1;
    } else if (first === ',' || first === ':' || isSpace(text.charCodeAt(at))) {
      at += 1;
      continue;
    } else {
      scalar.lastIndex = at;
      const [source = ''] = scalar.exec(text) ?? [];
      value = words.has(source) ? words.get(source) : Number(source);
      at += source.length;
    }
    const parent = open.at(-1);
    if (!parent) return value;
    parent.values.push(value);
  }
  return undefined;
};

/**
 * The bytes without the mark of UTF-8 that some editors and writers of files put before a text. Anywhere else it is a
 * character like others.
 */
export const withoutMark = (bytes: Buffer): Buffer =>
  bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.subarray(3) : bytes;

/** The value of a JSON text. Throws the SyntaxError of `JSON.parse` where it is none. */
export const parseJsonText = (text: string): unknown => {
  const value: unknown = JSON.parse(text);
  return hasEscapedName(text) ? readText(text) : value;
};
