import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { chargeToJson } from '#schemas/plan.ts';
import { ratedLineToJson } from '#schemas/rated-line.ts';
import { type RatingInput, ratingInputToJson } from '#schemas/rating-input.ts';
import { rateCharge } from '../../../../rater/price/rate.ts';
import { lineHashes, lineHashesOfStored } from '../../../../rater/run/line-hashes.ts';
import { parties } from '../../../support/invoice-examples.ts';
import { pricedUsages, roundingModes } from '../../../support/rating-arbitraries.ts';
import { scaled } from '../../../support/scale.ts';

const input: RatingInput = {
  billingPeriodId: 'bpd_1',
  subscriptionId: 'sub_1',
  customerId: 'cus_1',
  planVersionId: 'plv_1',
  position: 2,
  charge: { code: 'c', name: 'Ü', meter: 'm', price: { model: 'per_unit', unit_amount: '0.015', free_units: '0' } },
  currency: 'USD',
  policy: { rounding: 'half_up' },
  span: { start: Date.UTC(2026, 9, 1), end: Date.UTC(2026, 10, 1) },
  watermark: 9_007_199_254_740_993n,
  measured: [
    {
      meter: 'm',
      meterVersionId: 'mtv_1',
      customers: ['cus_1', 'acme'],
      quantity: '12.5',
      parts: [
        { part: '1', quantity: '0.5', events: '1' },
        { part: '2', quantity: '12', events: '3' },
      ],
      unmeasuredEvents: 3n,
    },
  ],
};
const output = { quantity: '12.5', amount: '0.19' } as never;

/** Written by hand after RFC 8785: names in order, no blanks. */
const canonicalInput =
  '{"billing_period_id":"bpd_1","charge":{"code":"c","meter":"m","name":"Ü","price":{"free_units":"0","model":"per_unit","unit_amount":"0.015"}},' +
  '"currency":"USD","customer_id":"cus_1","hash_version":1,"measured":[{"customers":["cus_1","acme"],"meter":"m","meter_version_id":"mtv_1","parts":[{"events":"1","part":"1","quantity":"0.5"},{"events":"3","part":"2","quantity":"12"}],"quantity":"12.5","unmeasured_events":"3"}],' +
  '"plan_version_id":"plv_1","position":2,"rounding_policy":{"rounding":"half_up"},"span":{"end":"2026-11-01T00:00:00.000Z","start":"2026-10-01T00:00:00.000Z"},' +
  '"subscription_id":"sub_1","watermark":"9007199254740993"}';

const sha256 = (text: string): string => createHash('sha256').update(text, 'utf8').digest('hex');

it('[I12] hashes what went in and what came out in a canonical form that anyone can write', () => {
  expect(lineHashesOfStored(ratingInputToJson(input), output)).toEqual({
    version: 1,
    input: sha256(canonicalInput),
    output: sha256('{"amount":"0.19","hash_version":1,"quantity":"12.5"}'),
  });
});

it('[I12] the short way to the hashes of a line that was just rated gives what the library gives of it', () => {
  const levels = [{ quantity: 3, proration: { by: 'time' as const, from: 0, to: 1, of: 2 } }];
  const shards = fc.record({
    usage: pricedUsages,
    name: fc.string({ minLength: 1 }),
    rounding: roundingModes,
    // What only some lines have.
    more: fc.constantFrom<Partial<RatingInput>>({}, { timing: 'advance' }, { timing: 'credit', levels }, { levels }),
  });
  fc.assert(
    fc.property(shards, ({ usage: { price, quantity, parts }, name, rounding, more }) => {
      const charge = { code: 'c', name, meter: price.model === 'flat' ? null : 'm', price };
      const rated = rateCharge(charge, { quantity, parts }, 'USD', { rounding });
      const { timing } = more;
      const line = ratedLineToJson({ ...parties, ...rated, ...(timing && { timing }), position: 1 });
      const went = ratingInputToJson({ ...input, charge: chargeToJson(charge), policy: { rounding }, ...more });
      expect(lineHashes(went, line)).toEqual(lineHashesOfStored(went, line));
    }),
    { numRuns: scaled(500) },
  );
});

it('a member that came into a stored line changes its hash', () => {
  const went = ratingInputToJson(input);
  const [a, b] = [lineHashesOfStored(went, { amount: '1' }), lineHashesOfStored(went, { amount: '1', extra: null })];
  expect(a.output).not.toBe(b.output);
});
