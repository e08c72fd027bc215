/** Bodies of the product's own JSON form: valid, nearly valid, and soup. */
import {
  arrayText,
  idText,
  instantText,
  numberText,
  objectText,
  propertiesText,
  type Space,
  stringText,
  valueText,
} from './json-texts.ts';
import { eventsMax } from './outcome.ts';
import { type Random, times } from './random.ts';

const noSpace: Space = () => '';

export const spaceOf = (random: Random): Space =>
  random.chance(0.7)
    ? noSpace
    : () => (random.chance(0.5) ? '' : random.oneOf([' ', '\t', '\n', '\r\n', '  ', ' \n\t ']));

export type Field = readonly [name: string, value: string];

/** The same name, some of its letters written as escapes. */
const escaped = (random: Random, name: string): string =>
  name.replace(/[a-z]/g, (letter) => (random.chance(0.3) ? `\\u00${letter.charCodeAt(0).toString(16)}` : letter));

export const shuffled = (random: Random, fields: readonly Field[]): Field[] => {
  const mixed = [...fields];
  for (let at = mixed.length - 1; at > 0; at -= 1) {
    const other = random.below(at + 1);
    [mixed[at], mixed[other]] = [mixed[other] as Field, mixed[at] as Field];
  }
  return mixed;
};

/** One thing that is not as it should be, or only written in another way. */
export const withQuirk = (random: Random, space: Space, fields: Field[]): Field[] => {
  const at = random.below(fields.length);
  const [name, value] = fields[at] as Field;
  const quirk = random.below(8);
  if (quirk === 0) return fields.toSpliced(at, 1);
  if (quirk === 1) {
    const spelt = random.chance(0.5) ? name : escaped(random, name);
    return [...fields, [spelt, random.chance(0.5) ? value : random.chance(0.5) ? 'null' : valueText(random, space, 2)]];
  }
  if (quirk === 2) return fields.with(at, [escaped(random, name), value]);
  if (quirk === 3)
    return [
      ...fields,
      [
        random.oneOf(['"events"', '"__proto__"', '"constructor"', '"Event"', '""', stringText(random)]),
        valueText(random, space, 2),
      ],
    ];
  if (quirk === 4) return fields.with(at, [name, 'null']);
  if (quirk === 5) return fields.with(at, [name, numberText(random)]);
  return fields.with(at, [name, valueText(random, space, 3)]);
};

export const eventText = (random: Random, space: Space): string => {
  let fields: Field[] = [
    ['"idempotency_key"', idText(random)],
    ['"event"', idText(random)],
    ['"customer_id"', idText(random)],
  ];
  if (random.chance(0.85)) fields.push(['"timestamp"', instantText(random)]);
  if (random.chance(0.9)) fields.push(['"properties"', propertiesText(random, space)]);
  if (random.chance(0.3)) fields = shuffled(random, fields);
  while (random.chance(0.07) && fields.length > 0) fields = withQuirk(random, space, fields);
  return objectText(space, fields);
};

const eventTexts = (random: Random, space: Space): string[] => {
  const count = random.chance(0.03) ? eventsMax - 1 + random.below(4) : random.below(4);
  return times(count, () => (random.chance(0.97) ? eventText(random, space) : valueText(random, space, 2)));
};

const envelopeNames = ['"events"', '"events"', '"events"', '"events"', '"\\u0065vents"', '"event"', '"events "'];

const envelopeText = (random: Random, space: Space): string => {
  const fields: Field[] = [[random.oneOf(envelopeNames), arrayText(space, eventTexts(random, space))]];
  if (random.chance(0.1)) fields.push(['"events"', valueText(random, space, 2)]);
  if (random.chance(0.1)) fields.push(['"x"', valueText(random, space, 2)]);
  return objectText(space, random.chance(0.5) ? shuffled(random, fields) : fields);
};

const pieces = [
  '{',
  '}',
  '[',
  ']',
  ',',
  ':',
  '"',
  '\\',
  ' ',
  'null',
  'true',
  '1',
  '-',
  '0.5',
  '"a"',
  '"events"',
  '"event":"e"',
  '"idempotency_key":"k"',
  '{}',
  '[]',
];

export const soup = (random: Random): Buffer =>
  random.chance(0.3)
    ? random.bytes(random.below(60))
    : Buffer.from(times(random.below(25), () => random.oneOf(pieces)).join(''));

/** So deep that a reader which calls itself would end. */
const deep = (random: Random): string => {
  const levels = random.oneOf([20, 100, 123, 124, 125, 126, 127, 128, 129, 1000]);
  const [open, close] = random.oneOf([
    ['[', ']'],
    ['{"a":', '}'],
  ] as const);
  return open.repeat(levels) + (random.chance(0.8) ? `1${close.repeat(levels)}` : '');
};

/** Some writers of files put it before a text; elsewhere it is a character like others. */
export const markText = (random: Random): string =>
  random.chance(0.03) ? random.oneOf(['\ufeff', '\ufeff', '\ufeff', ' \ufeff', '\ufeff\ufeff']) : '';

export const nativeBody = (random: Random): Buffer => {
  if (random.chance(0.05)) return soup(random);
  const space = spaceOf(random);
  const shape = random.below(20);
  if (shape < 6) return Buffer.from(markText(random) + space() + eventText(random, space) + space());
  if (shape < 12)
    return Buffer.from(markText(random) + space() + arrayText(space, eventTexts(random, space)) + space());
  if (shape < 18) return Buffer.from(markText(random) + space() + envelopeText(random, space) + space());
  if (shape < 19 || !random.chance(0.1)) return Buffer.from(valueText(random, space, 3));
  return Buffer.from(
    random.chance(0.5)
      ? deep(random)
      : `{"idempotency_key":"k","event":"e","customer_id":"c","properties":${deep(random)}}`,
  );
};
