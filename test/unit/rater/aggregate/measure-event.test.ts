/**
 * One event's value against the plain fractions of the reference; the store is held against the same in
 * `test/integration/metering/`.
 */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { meterDefinitionFromJson } from '#schemas/meter.ts';
import { measureEvent } from '../../../../rater/aggregate/measure-event.ts';
import { aHistory, someMeters } from '../../../support/metering-arbitraries.ts';
import { scaled } from '../../../support/scale.ts';
import { isCounted, valueTextOf } from '../../../support/usage-reference.ts';

it('[I13] one event is measured like the reference does, and so like the store', () => {
  const property = fc.property(aHistory, someMeters, ({ events }, meters) => {
    for (const one of meters) {
      for (const event of events) {
        const expected = isCounted(one, event) ? { counted: true, value: valueTextOf(one, event) } : { counted: false };
        expect(measureEvent(one.meter, event)).toEqual(expected);
      }
    }
  });
  fc.assert(property, { numRuns: scaled(200) });
});

const valueOfExpression = (expression: string, properties: Readonly<Record<string, string>>): string | null => {
  const parsed = meterDefinitionFromJson({ event: 'e', aggregation: 'sum', expression });
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.faults));
  const measured = measureEvent(parsed.value, { event: 'e', properties: new Map(Object.entries(properties)) });
  return measured.counted ? measured.value : 'not counted';
};

it.each([
  ['a / b', { a: '1', b: '3' }, '0.333333333333'],
  ['a / b', { a: '-2', b: '3' }, '-0.666666666667'],
  ['a / b', { a: '1', b: '0' }, null],
  ['a * b', { a: '0.000000000001', b: '0.5' }, '0.000000000001'],
  ['a * b', { a: '-0.000000000001', b: '0.5' }, '-0.000000000001'],
  ['a + b', { a: '0.1', b: '0.2' }, '0.3'],
  ['a - b', { a: '1' }, null],
  ['-a', { a: '0' }, '0'],
  ['(input + 4 * output) / 1000', { input: '12', output: '7' }, '0.04'],
  ['a', { a: '1234567890123456789' }, null],
])('%s of %j is %s', (expression, properties, value) => {
  expect(valueOfExpression(expression, properties)).toBe(value);
});
