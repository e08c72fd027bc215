/** Bodies of the formats around an event: lines, and CloudEvents. */
import { arrayText, idText, instantText, objectText, propertiesText, type Space, stringText, valueText } from './json-texts.ts';
import { eventText, type Field, markText, shuffled, soup, spaceOf, withQuirk } from './native-bodies.ts';
import { eventsMax, lineBytesMax } from './outcome.ts';
import { type Random, times } from './random.ts';

const manyOrFew = (random: Random): number => (random.chance(0.03) ? eventsMax - 1 + random.below(4) : random.below(5));

const lineText = (random: Random, space: Space): string => {
  const text = random.chance(0.95) ? eventText(random, space) : valueText(random, space, 2);
  // A newline in the middle makes two broken lines; most lines have none.
  const line = random.chance(0.95) ? text.replace(/[\r\n]/g, ' ') : text;
  // As long as a line may be, and one byte more.
  if (random.chance(0.005)) return line.padStart(lineBytesMax - Buffer.byteLength(line) + line.length + random.below(2), ' ');
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

const contentTypes = ['"application/json"', '"text/json; charset=utf-8"', '"application/x+json"', '"text/plain"', '""', 'null', '5'];
const extensions = ['"traceparent"', '"x1"', '"Subject"', '"x-y"', '"data_base64"', '"dataschema"', '"__proto__"', '"events"'];

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
  if (random.chance(0.2)) fields.push(['"datacontenttype"', random.chance(0.7) ? '"application/json"' : random.oneOf(contentTypes)]);
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
  const events = times(manyOrFew(random), () => (random.chance(0.97) ? cloudEventText(random, space) : valueText(random, space, 2)));
  return Buffer.from(markText(random) + arrayText(space, events));
};
