import { expect, it } from 'vitest';
import type { MeasuredSpan } from '../../../../rater/aggregate/covered-spans.ts';
import type { Measured, QuantityQuery } from '../../../../rater/aggregate/quantity-query.ts';
import { sharedSpans } from '../../../../rater/simulate/shared-spans.ts';

const span = (spanId: string, customer: string, start: number): MeasuredSpan => ({
  spanId,
  customers: [customer, `id of ${customer}`],
  period: { start, end: 10 },
});
const queryOf = (...spans: MeasuredSpan[]): QuantityQuery => ({ tenant: 'org_1', watermark: 7n, spans, measures: [] });

it('each span is asked for once, and told to all that are alike', () => {
  const query = queryOf(span('1', 'a', 0), span('2', 'b', 0), span('3', 'a', 0), span('4', 'a', 5), span('5', 'b', 0));
  const shared = sharedSpans(query);
  expect(shared.query).toEqual(queryOf(span('1', 'a', 0), span('2', 'b', 0), span('4', 'a', 5)));
  const measured = (quantity: string) => new Map([['m0', { quantity, unmeasuredEvents: 0n } satisfies Measured]]);
  const [a, b] = [measured('1'), measured('2')];
  // Of the third there was no event.
  expect(
    shared.toEach(
      new Map([
        ['1', a],
        ['2', b],
      ]),
    ),
  ).toEqual(
    new Map([
      ['1', a],
      ['3', a],
      ['2', b],
      ['5', b],
    ]),
  );
});

it('of nothing asks for nothing', () => {
  const shared = sharedSpans(queryOf());
  expect(shared.query.spans).toEqual([]);
  expect(shared.toEach(new Map())).toEqual(new Map());
});
