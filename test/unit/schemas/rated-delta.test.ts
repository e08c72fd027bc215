/** [I15] What was billed first and all deltas sum to what is due at last, charge by charge, to the last digit. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Amount, PreciseAmount } from '#schemas/money.ts';
import { type Quantity, zeroQuantity } from '#schemas/quantity.ts';
import { ratedDeltas } from '#schemas/rated-delta.ts';
import type { RatedLine } from '#schemas/rated-line.ts';

const line = (chargeCode: string, position: number, quantity: bigint, amount: bigint): RatedLine => ({
  billingPeriodId: 'bpd_1',
  span: { start: 0, end: 1 },
  subscriptionId: 'sub_1',
  customerId: 'cus_1',
  planVersionId: 'plv_1',
  position,
  chargeCode,
  chargeName: chargeCode.toUpperCase(),
  model: 'per_unit',
  meter: 'calls',
  currency: 'USD',
  rounding: 'half_up',
  quantity: quantity as Quantity,
  billableQuantity: zeroQuantity,
  precise: (amount * 7n) as PreciseAmount,
  amount: amount as Amount,
  steps: [],
});
const codes = ['calls', 'tokens', 'minimum'];
const small = fc.bigInt(-3n, 3n);
const rated = fc
  .record({ codes: fc.subarray(codes), values: fc.array(fc.tuple(small, small), { minLength: 3, maxLength: 3 }) })
  .map(({ codes: some, values }) =>
    some.map((code) => {
      const [quantity, amount] = values[codes.indexOf(code)] ?? [0n, 0n];
      return line(code, codes.indexOf(code) + 1, quantity, amount);
    }),
  );
const sums = (all: readonly { code: string; quantity: bigint; precise: bigint; amount: bigint }[]) =>
  codes.map((code) => {
    const of = all.filter((one) => one.code === code);
    const sum = (values: readonly bigint[]) => values.reduce((a, b) => a + b, 0n);
    return [sum(of.map((one) => one.quantity)), sum(of.map((one) => one.amount))];
  });
const ofLine = ({ chargeCode: code, quantity, precise, amount }: RatedLine) => ({ code, quantity, precise, amount });

describe('deltas', () => {
  it('sum with what was billed first to what is due at last, in the order of the plan', () => {
    fc.assert(
      fc.property(fc.array(rated, { minLength: 1, maxLength: 5 }), (history) => {
        const [first = []] = history;
        const deltas = history.slice(1).flatMap((now, index) => ratedDeltas(now, history[index] ?? []));
        for (const [index, now] of history.slice(1).entries()) {
          const places = ratedDeltas(now, history[index] ?? []).map((delta) => delta.line.position);
          expect(places).toEqual(places.toSorted((a, b) => a - b));
        }
        const billed = [
          ...first.map(ofLine),
          ...deltas.map(({ line: of, quantity, precise, amount }) => ({
            code: of.chargeCode,
            quantity,
            precise,
            amount,
          })),
        ];
        expect(sums(billed)).toEqual(sums((history.at(-1) ?? []).map(ofLine)));
      }),
    );
  });

  it('have no line of a charge that comes to the same, and one of what is gone', () => {
    const before = [line('calls', 1, 3n, 30n), line('minimum', 3, 1n, 5n)];
    const now = [line('calls', 1, 3n, 30n), line('tokens', 2, 2n, 0n)];
    expect(
      ratedDeltas(now, before).map(({ description, quantity, amount }) => `${description} ${quantity} ${amount}`),
    ).toEqual(['TOKENS (correction) 2 0', 'MINIMUM (correction) -1 -5']);
  });
});
