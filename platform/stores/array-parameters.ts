/**
 * Arrays as parameters of a statement, in PostgreSQL's binary form (array_send, array_recv): of the thousands of texts
 * that a shard is written with nothing is escaped here and read again there. The driver sends a Buffer as it is. The
 * type of the elements must be that of the parameter, so the statement says it: `$1::text[]`.
 */
import pg from 'pg';

const { TEXT, JSON: json, INT4, INT8, TIMESTAMPTZ } = pg.types.builtins;

const int32 = 4;
/** Dimensions, whether a null is among the elements, type, length, number of the first element. */
const headBytes = 5 * int32;

type Head = { readonly type: number; readonly length: number; readonly hasNull: boolean };

const writeHead = (into: Buffer, { type, length, hasNull }: Head): void => {
  into.writeInt32BE(length === 0 ? 0 : 1, 0);
  into.writeInt32BE(hasNull ? 1 : 0, int32);
  into.writeUInt32BE(type, 2 * int32);
  if (length === 0) return;
  into.writeInt32BE(length, 3 * int32);
  into.writeInt32BE(1, 4 * int32);
};

/** An empty array has no dimension, and so neither length nor first number. */
const bytesOf = (length: number, elementBytes: number): number =>
  length === 0 ? 3 * int32 : headBytes + length * int32 + elementBytes;

const ofTexts = (type: number, texts: readonly (string | null)[]): Buffer => {
  const sizes = texts.map((text) => (text === null ? 0 : Buffer.byteLength(text)));
  const into = Buffer.allocUnsafe(
    bytesOf(
      texts.length,
      sizes.reduce((sum, size) => sum + size, 0),
    ),
  );
  writeHead(into, { type, length: texts.length, hasNull: texts.includes(null) });
  let at = headBytes;
  texts.forEach((text, index) => {
    const size = sizes[index] ?? 0;
    into.writeInt32BE(text === null ? -1 : size, at);
    at += int32;
    if (text !== null) at += into.write(text, at, size, 'utf8');
  });
  return into;
};

const ofNumbers = <N>(
  type: number,
  size: 4 | 8,
  numbers: readonly (N | null)[],
  write: (into: Buffer, number: N, at: number) => void,
): Buffer => {
  const hasNull = numbers.includes(null);
  const present = hasNull ? numbers.filter((number) => number !== null).length : numbers.length;
  const into = Buffer.allocUnsafe(bytesOf(numbers.length, present * size));
  writeHead(into, { type, length: numbers.length, hasNull });
  let at = headBytes;
  for (const number of numbers) {
    into.writeInt32BE(number === null ? -1 : size, at);
    at += int32;
    if (number === null) continue;
    write(into, number, at);
    at += size;
  }
  return into;
};

export const textArray = (texts: readonly (string | null)[]): Buffer => ofTexts(TEXT, texts);

/** Of texts that are JSON; PostgreSQL checks that they are. */
export const jsonArray = (texts: readonly (string | null)[]): Buffer => ofTexts(json, texts);

export const integerArray = (numbers: readonly (number | null)[]): Buffer =>
  ofNumbers(INT4, 4, numbers, (into, number, at) => into.writeInt32BE(number, at));

/** Of whole numbers in whatever form. */
export const bigintArray = (numbers: readonly (string | number | bigint | null)[]): Buffer =>
  ofNumbers(INT8, 8, numbers, (into, number, at) => into.writeBigInt64BE(BigInt(number), at));

/** PostgreSQL counts microseconds from the year 2000 on. */
const epochMs = 946_684_800_000;

/** Of milliseconds since 1970. */
export const instantArray = (instants: readonly (number | null)[]): Buffer =>
  ofNumbers(TIMESTAMPTZ, 8, instants, (into, ms, at) => into.writeBigInt64BE(BigInt(ms - epochMs) * 1_000n, at));
