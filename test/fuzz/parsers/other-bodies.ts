/** Bodies of the formats around an event: lines, and CloudEvents. */
import {
  arrayText,
  idText,
  instantText,
  objectText,
  propertiesText,
  type Space,
  stringText,
  valueText,
} from './json-texts.ts';
import { eventText, type Field, markText, shuffled, soup, spaceOf, withQuirk } from './native-bodies.ts';
import { eventsMax, lineBytesMax } from './outcome.ts';
import { type Random, times } from './random.ts';

const manyOrFew = (random: Random): number => (random.chance(0.03) ? eventsMax - 1 + random.below(4) : random.below(5));

const lineText = (random: Random, space: Space): string => {
  const text = random.chance(0.95) ? eventText(random, space) : valueText(random, space, 2);
  // A newline in the middle makes two broken lines; most lines have none.
  const line = random.chance(0.95) ? text.replace(/[\r\n]/g, ' ') : text;
  // As long as a line may be, and one byte more.
  if (random.chance(0.005))
    return line.padStart(lineBytesMax - Buffer.byteLength(line) + line.length + random.below(2), ' ');
  return `${random.chance(0.05) ? ' ' : ''}${line}${random.oneOf(['', '', '', '\r', ' ', '\t\r'])}`;
};

export const linesBody = (random: Random): Buffer => {
  if (random.chance(0.05)) return soup(random);
  const space = spaceOf(random);
  const lines = times(manyOrFew(random), () => lineText(random, space));
  const separator = (): string => random.oneOf(['\n', '\n', '\n', '\n', '\n\n', '\n \n', '\n\r\n']);
  const text = lines.map((line) => line + separator()).join('');
  return Buffer.from(markText(random) + (random.chance(0.3) ? text.trimEnd() : text));
};

const contentTypes = [
  '"application/json"',
  '"text/json; charset=utf-8"',
  '"application/x+json"',
  '"text/plain"',
  '""',
  'null',
  '5',
];
const extensions = [
  '"traceparent"',
  '"x1"',
  '"Subject"',
  '"x-y"',
  '"data_base64"',
  '"dataschema"',
  '"__proto__"',
  '"events"',
];

const cloudEventText = (random: Random, space: Space): string => {
  let fields: Field[] = [
    ['"specversion"', random.chance(0.97) ? '"1.0"' : random.oneOf(['"0.3"', '1.0', '"1.00"', 'null'])],
    ['"id"', idText(random)],
    ['"source"', random.chance(0.97) ? '"/fuzz"' : stringText(random)],
    ['"type"', idText(random)],
    ['"subject"', idText(random)],
  ];
  if (random.chance(0.8)) fields.push(['"time"', instantText(random)]);
  if (random.chance(0.9)) fields.push(['"data"', propertiesText(random, space)]);
  if (random.chance(0.2))
    fields.push(['"datacontenttype"', random.chance(0.7) ? '"application/json"' : random.oneOf(contentTypes)]);
  if (random.chance(0.1))
    fields.push([
      random.chance(0.7) ? '"traceparent"' : random.oneOf(extensions),
      random.chance(0.3) ? 'null' : valueText(random, space, 2),
    ]);
  if (random.chance(0.3)) fields = shuffled(random, fields);
  while (random.chance(0.07) && fields.length > 0) fields = withQuirk(random, space, fields);
  return objectText(space, fields);
};

export const structuredBody = (random: Random): Buffer => {
  const space = spaceOf(random);
  if (random.chance(0.05)) return random.chance(0.5) ? soup(random) : Buffer.from(valueText(random, space, 3));
  return Buffer.from(markText(random) + space() + cloudEventText(random, space) + space());
};

export const batchBody = (random: Random): Buffer => {
  const space = spaceOf(random);
  if (random.chance(0.05)) return random.chance(0.5) ? soup(random) : Buffer.from(valueText(random, space, 3));
  const events = times(manyOrFew(random), () =>
    random.chance(0.97) ? cloudEventText(random, space) : valueText(random, space, 2),
  );
  return Buffer.from(markText(random) + arrayText(space, events));
};

const headerValues = [
  ...[
    'größe',
    '"größe"',
    'gr%C3%B6%C3%9Fe',
    '"a b"',
    '"a\\"b\\\\c"',
    '"',
    '""',
    '"a',
    'a"',
    '%',
    '%4',
    '%zz',
    '%00',
    '%c0%af',
    '%ed%a0%80',
    '%22',
    ' a\t',
  ],
  ...['日本', '%E6%97%A5', 'a%0Ab', '\\', '"\\', '"a\\"', '', '%25', 'a, b'],
];

/** A value of a header, as its bytes: mostly a plain one, else any bytes that a header may have. */
const headerBytes = (random: Random, plain: string): Buffer => {
  if (random.chance(0.94)) return Buffer.from(plain);
  if (random.chance(0.6)) return Buffer.from(random.oneOf(headerValues), random.chance(0.7) ? 'utf8' : 'latin1');
  return Buffer.from(
    times(random.below(8), () =>
      random.oneOf([0x22, 0x25, 0x5c, 0x20, 0x09, 0x41, 0x7e, 0xc3, 0xb6, 0xff, 0xe6, 0x97, 0xa5, 0x32]),
    ),
  );
};

/** A CloudEvent in binary mode: lines of `name:value` for its headers, an empty line, and the data. */
export const binaryBody = (random: Random): Buffer => {
  const fields: [string, string][] = [
    ['specversion', '1.0'],
    ['id', `id-${random.below(1000)}`],
    ['source', '/fuzz'],
    ['type', 'call'],
    ['subject', 'acme'],
  ];
  if (random.chance(0.7)) fields.push(['time', instantText(random).slice(1, -1)]);
  if (random.chance(0.2))
    fields.push([random.oneOf(['traceparent', 'dataschema', 'datacontenttype', 'data', 'x_y']), 'x']);
  const kept = fields.filter(() => random.chance(0.98));
  const head = kept.map(([name, plain]) =>
    Buffer.concat([Buffer.from(`${name}:`), headerBytes(random, plain), Buffer.from('\n')]),
  );
  const data = random.chance(0.1)
    ? ''
    : random.chance(0.9)
      ? propertiesText(random, spaceOf(random))
      : valueText(random, spaceOf(random), 2);
  return Buffer.concat([...head, Buffer.from(`\n${data}`)]);
};

/** The headers, each byte of a value a character as Node gives it, and the data. Of two of one name the last. */
export const binaryParts = (body: Buffer): { readonly headers: ReadonlyMap<string, string>; readonly data: Buffer } => {
  const headers = new Map<string, string>();
  let at = 0;
  for (;;) {
    const end = body.indexOf('\n', at);
    const line = body.toString('latin1', at, end < 0 ? body.length : end);
    const colon = line.indexOf(':');
    if (end < 0 || colon < 0) return { headers, data: body.subarray(line === '' && end >= 0 ? end + 1 : at) };
    headers.set(line.slice(0, colon), line.slice(colon + 1));
    at = end + 1;
  }
};
