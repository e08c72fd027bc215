import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import { type RatingInput, ratingInputToJson } from '#schemas/rating-input.ts';
import { lineHashes } from '../../../../rater/run/line-hashes.ts';

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
  expect(lineHashes(ratingInputToJson(input), output)).toEqual({
    version: 1,
    input: sha256(canonicalInput),
    output: sha256('{"amount":"0.19","hash_version":1,"quantity":"12.5"}'),
  });
});
