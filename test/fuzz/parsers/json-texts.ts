/**
 * Pieces of JSON text, most of them ordinary and some of them nasty: what valid and nearly valid bodies are made of.
 */
import { nowMs } from './outcome.ts';
import { type Random, times } from './random.ts';

const nastyTexts = [
  '""',
  '"\\u0000"',
  '"\\u0000inexact"',
  '"\\ud83d"',
  '"\\ude00\\ud83d"',
  '"\\ud83d\\ude00"',
  '"\\/\\b\\f\\n\\r\\t\\"\\\\"',
  '"\\u007f"',
  '"\u007f"',
  '"\\u0061"',
  '"größe"',
  '"日本"',
  '"😀"',
  '"\u2028"',
  '"\ufeff"',
  '"\u0085"',
  '"a\u009f"',
  '"a\u00a0"',
  '"\\u0080"',
  '"\u202e"',
  '"__proto__"',
  '"constructor"',
  '"toString"',
  '"events"',
  '"{"',
  '"]"',
  '","',
  '"0.10"',
  '"12345678901234567890"',
];

const lengths = [1, 2, 15, 16, 48, 49, 127, 128, 254, 255, 256, 510, 511];
const characters = ['x', 'é', '日', '😀', '0', '.', '\\\\', '\\u0041'];

/** A text of some length around a boundary. */
const longText = (random: Random): string => `"${random.oneOf(characters).repeat(random.oneOf(lengths))}"`;

export const stringText = (random: Random): string => {
  if (random.chance(0.75))
    return `"${random.oneOf(['gpt', 'eu', 'a', 'llm.request', 'x y', '12', '0.10', 'true'])}${random.below(50)}"`;
  return random.chance(0.7) ? random.oneOf(nastyTexts) : longText(random);
};

export const idText = (random: Random): string =>
  random.chance(0.97) ? `"id-${random.below(1000)}"` : stringText(random);

const nastyNumbers = [
  ...[
    '-0',
    '0',
    '-0.0',
    '0.0',
    '0e9',
    '-0e999',
    '0.10',
    '1.50',
    '0.1',
    '100',
    '1e5',
    '1E5',
    '1e+5',
    '1e-5',
    '15e-1',
    '1.50e1',
    '10e-1',
  ],
  ...[
    '1E400',
    '-1e400',
    '1e-400',
    '1e-324',
    '5e-324',
    '1e40',
    '1e41',
    '1e-40',
    '1e-41',
    '0.1e42',
    '1e21',
    '1e20',
    '1e-6',
    '1e-7',
  ],
  ...[
    '123456789012345',
    '1234567890123456',
    '999999999999999',
    '9999999999999999',
    '9007199254740993',
    '12345678901234567890',
  ],
  ...[
    '0.123456789012345',
    '0.1234567890123456',
    '1.23456789012345',
    '1.234567890123456',
    '123456789012345e20',
    '0.000000000000001',
  ],
  ...[
    '0.00000000000001',
    '1000000000000000000000',
    '100000000000000000000',
    '12345678901234.50',
    '123456789012345.0',
    '1234567890123450',
  ],
  ...[
    '01',
    '-01',
    '00',
    '+1',
    '.5',
    '5.',
    '1.e5',
    '1e',
    '1e+',
    '-',
    '--1',
    '0x10',
    '1_0',
    'NaN',
    'Infinity',
    '1.2.3',
    '1e5.5',
  ],
];

const digitsOf = (random: Random, count: number): string => times(count, () => random.below(10)).join('');

/** A number by the grammar of JSON, its lengths around what a double keeps. */
const randomNumber = (random: Random): string => {
  const whole = random.chance(0.3)
    ? '0'
    : `${1 + random.below(9)}${digitsOf(random, random.below(random.chance(0.8) ? 8 : 17))}`;
  const zeros = () => '0'.repeat(random.chance(0.2) ? random.below(45) : 0);
  const fraction = random.chance(0.5)
    ? `.${zeros()}${digitsOf(random, 1 + random.below(random.chance(0.8) ? 6 : 16))}`
    : '';
  const exponent = random.chance(0.2)
    ? `${random.oneOf(['e', 'E'])}${random.oneOf(['', '+', '-'])}${random.below(50)}`
    : '';
  return `${random.chance(0.2) ? '-' : ''}${whole}${fraction}${exponent}`;
};

export const numberText = (random: Random): string => {
  if (random.chance(0.5)) return String(random.below(10_000));
  return random.chance(0.85) ? randomNumber(random) : random.oneOf(nastyNumbers);
};

const two = (value: number): string => String(value).padStart(2, '0');

const days = [
  '2024-02-29',
  '2023-02-29',
  '2000-02-29',
  '1900-02-29',
  '2026-02-30',
  '2026-04-31',
  '2026-12-31',
  '2026-13-01',
  '2026-00-10',
  '2026-11-00',
];
const years = ['0000-01-01', '0001-03-01', '1600-12-31', '1969-12-31', '1970-01-01', '9999-12-31'];

const dayText = (random: Random): string => {
  if (random.chance(0.6)) return `2026-11-${two(random.below(32))}`;
  if (random.chance(0.4)) return random.oneOf([...days, ...years]);
  return `${String(random.below(10_000)).padStart(4, '0')}-${two(random.below(14))}-${two(random.below(33))}`;
};

const nastyInstants = [
  ...[
    '2026-10-31T23:59:60Z',
    '2026-11-30T23:59:60.999Z',
    '2026-11-20T23:59:60Z',
    '2026-11-01T01:59:60.5+02:00',
    '2026-10-31T23:59:60+02:00',
  ],
  '',
  'now',
  '2026-11-20',
  '2026-11-20T12:00:00',
  '2026-11-20 12:00:00Z',
  '20261120T120000Z',
  '+002026-11-20T12:00:00Z',
  '2026-11-20T12:00Z',
];
const zones = [
  'z',
  '+00:00',
  '-00:00',
  '+02:00',
  '-23:59',
  '+23:59',
  '+24:00',
  '+00:60',
  '+0200',
  '+02',
  'Z[UTC]',
  '',
  'ZZ',
];

export const instantText = (random: Random): string => {
  if (random.chance(0.5))
    return JSON.stringify(new Date(nowMs - random.below(40 * 86_400_000) + 3 * 86_400_000).toISOString());
  if (random.chance(0.05)) return JSON.stringify(random.oneOf(nastyInstants));
  const usual = random.chance(0.85);
  const [hours, minutes] = usual ? [24, 60] : [26, 62];
  const fraction = random.chance(0.5)
    ? `.${digitsOf(random, random.chance(0.8) ? random.below(14) : 22 + random.below(5))}`
    : '';
  const minute = `${two(random.below(hours))}:${two(random.below(minutes))}`;
  const time = `${minute}:${two(random.below(random.chance(0.9) ? 60 : 62))}${fraction}`;
  return `"${dayText(random)}${random.chance(0.9) ? 'T' : 't'}${time}${usual ? 'Z' : random.oneOf(zones)}"`;
};

const plainNames = [
  'tokens',
  'model',
  'region',
  'a',
  'b',
  'c',
  'A',
  'a-',
  'a.b',
  'a.b.c',
  'b.a',
  '10',
  '2',
  '1',
  'input_tokens',
  'x',
];
const nastyNames = [
  '',
  '.',
  'a.',
  '.a',
  'a..b',
  '\\u0061',
  'a\\u002eb',
  '\\n',
  '\\u007f',
  '\u007f',
  '\u0085',
  '\\u009f',
  '\\ud800',
  'größe',
  '😀',
  '__proto__',
  'constructor',
  '\\u0000inexact',
];

export const nameText = (random: Random, number: number): string => {
  if (random.chance(0.94)) return `"${random.oneOf(plainNames)}${random.chance(0.8) ? number : ''}"`;
  return random.chance(0.9) ? `"${random.oneOf(nastyNames)}"` : longText(random);
};

/** White space, in a body that has any. */
export type Space = () => string;

export const objectText = (space: Space, fields: readonly (readonly [name: string, value: string])[]): string => {
  const fieldText = ([name, value]: readonly [string, string]) => `${name}${space()}:${space()}${value}`;
  return `{${space()}${fields.map(fieldText).join(`${space()},${space()}`)}${space()}}`;
};

export const arrayText = (space: Space, items: readonly string[]): string =>
  `[${space()}${items.join(`${space()},${space()}`)}${space()}]`;

const scalarText = (random: Random): string => {
  const kind = random.below(10);
  if (kind < 5) return numberText(random);
  return kind < 8 ? stringText(random) : random.oneOf(['true', 'false', 'null']);
};

/** Any value; `depth` bounds how deep it may nest by itself. */
export const valueText = (random: Random, space: Space, depth: number): string => {
  if (depth === 0 || random.chance(0.5)) return scalarText(random);
  if (random.chance(0.5))
    return arrayText(
      space,
      times(random.below(4), () => valueText(random, space, depth - 1)),
    );
  return objectText(
    space,
    times(random.below(4), (number) => [nameText(random, number), valueText(random, space, depth - 1)]),
  );
};

/** A value inside so many objects, or arrays, or both. */
const nested = (random: Random, levels: number): string => {
  const objects = random.oneOf([0, 0.5, 1]);
  let text = scalarText(random);
  for (let level = 0; level < levels; level += 1) text = random.chance(objects) ? `{"n":${text}}` : `[${text}]`;
  return text;
};

const counts = [0, 1, 1, 2, 2, 3, 3, 4, 5, 8];

const propertyValue = (random: Random, space: Space): string => {
  if (random.chance(0.93)) return scalarText(random);
  return random.chance(0.8) ? valueText(random, space, 3) : nested(random, random.oneOf([1, 14, 15, 16, 17]));
};

/**
 * Two properties of one path, and pairs of names of which V8 took the second for the first
 * (platform/json/json-text.ts).
 */
const twins: readonly (readonly [name: string, value: string])[][] = [
  [
    ['"a"', '{"b":1}'],
    ['"a.b"', '2'],
  ],
  [
    ['"b.a"', 'null'],
    ['"b"', '{"a":0}'],
  ],
  [
    ['"t"', '1'],
    ['"\\u0074"', '1'],
  ],
  [
    ['"t"', 'null'],
    ['"t"', '2'],
  ],
  [['"o"', '{"t":1,"t":1}']],
  [['"o"', '[{"p":[{"t":1,"\\u0074":2}]}]']],
  [
    ['"__proto__"', '1'],
    ['"__proto__"', '{}'],
  ],
  [['"\\\\"', '1']],
  [['"\\""', '2']],
  [['"gr\\\\u0"', '1']],
  [['"gr\\u00f6\\u00dfe"', '2']],
];

export const propertiesText = (random: Random, space: Space): string => {
  if (random.chance(0.01)) {
    const nulls = random.oneOf([0, 0.02]);
    const count = random.oneOf([63, 64, 65, 66, 255, 256, 257]);
    return objectText(
      space,
      times(count, (number) => [`"p${number}"`, random.chance(nulls) ? 'null' : '1']),
    );
  }
  // Around the bounds of a plain event and of all properties together.
  if (random.chance(0.003)) return `{"a":"${'x'.repeat(random.oneOf([16_200, 16_384, 65_534, 65_535, 65_536]))}"}`;
  const before = random.chance(0.04) ? random.oneOf(twins) : [];
  return objectText(space, [
    ...before,
    ...times(random.oneOf(counts), (number) => [nameText(random, number), propertyValue(random, space)] as const),
  ]);
};
