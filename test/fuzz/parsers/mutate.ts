/** Changes of bytes that know nothing of the format. */
import type { Random } from './random.ts';

/** Bytes that mean something to one of the formats, or to UTF-8. */
const tokens = [
  ...[
    '"',
    '\\',
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    ' ',
    '\n',
    '\r\n',
    '0',
    '00',
    '-',
    '+',
    '.',
    'e',
    'E5',
    'null',
    'true',
    'Z',
    '\\u0000',
    '\\ud800',
  ],
  ...[
    '\\/',
    '\u0000',
    '\u007f',
    '\ufeff',
    'é',
    '😀',
    '9999999999999999',
    '0.10',
    '1e400',
    '__proto__',
    '"a":1,',
    '{"events":[',
  ],
]
  .map((text) => Buffer.from(text))
  .concat(
    [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xe2, 0x82], [0x80], [0xf4, 0x90, 0x80, 0x80]].map((bytes) =>
      Buffer.from(bytes),
    ),
  );

const spliced = (body: Buffer, from: number, to: number, between: Buffer): Buffer =>
  Buffer.concat([body.subarray(0, from), between, body.subarray(to)]);

const empty = Buffer.alloc(0);

/** The body with one change; `other` is a second body to take a part from. */
const changed = (random: Random, body: Buffer, other: () => Buffer): Buffer => {
  const at = random.below(body.length + 1);
  const until = Math.min(body.length, at + 1 + random.below(random.chance(0.7) ? 4 : 40));
  const kind = random.below(8);
  if (kind === 0 && at < body.length) {
    const flipped = Buffer.from(body);
    flipped[at] = (flipped[at] as number) ^ (1 << random.below(8));
    return flipped;
  }
  if (kind === 1) return spliced(body, at, until, empty);
  if (kind === 2) return spliced(body, at, at, random.bytes(1 + random.below(3)));
  if (kind === 3) return spliced(body, at, until, random.oneOf(tokens));
  if (kind === 4) return spliced(body, at, at, body.subarray(at, until));
  if (kind === 5) {
    const source = other();
    const from = random.below(source.length + 1);
    return spliced(
      body,
      at,
      random.chance(0.5) ? body.length : at,
      source.subarray(from, random.chance(0.5) ? source.length : from + 20),
    );
  }
  if (kind === 6)
    return random.chance(0.2)
      ? body.subarray(0, at)
      : spliced(body, at, Math.min(body.length, at + 1), random.oneOf(tokens));
  // Two neighbours change places.
  const middle = Math.min(body.length, until + (until - at));
  return Buffer.concat([
    body.subarray(0, at),
    body.subarray(until, middle),
    body.subarray(at, until),
    body.subarray(middle),
  ]);
};

export const mutated = (random: Random, body: Buffer, other: () => Buffer): Buffer => {
  let result = body;
  for (let left = 1 + random.below(3); left > 0; left -= 1) result = changed(random, result, other);
  return result;
};
