import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { contentToJson2 } from '#schemas/invoice/content-2.ts';
import type { DraftInvoice } from '#schemas/invoice.ts';
import { sumAmounts, sumPrecise } from '#schemas/money.ts';
import { oneQuantity } from '#schemas/quantity.ts';
import type { RatedLine } from '#schemas/rated-line.ts';
import { draftInvoice } from '../../../../invoicer/invoices/draft-invoice.ts';
import { rateCharge } from '../../../../rater/price/rate.ts';
import { issuedWith, october, parties, ratedLlmPro, ratedPeriod } from '../../../support/invoice-examples.ts';
import { priceOf } from '../../../support/prices.ts';
import { anyCurrency, Exact, pricedUsages, roundingModes } from '../../../support/rating-arbitraries.ts';
import { scaled } from '../../../support/scale.ts';

const toJson = (draft: DraftInvoice) =>
  contentToJson2({ ...draft, ...issuedWith(2, 1, october.end), id: 'inv_1', tenant: 'org_1' });

const lines = ratedLlmPro({ requests: '221', input_tokens: '426684', output_tokens: '6462' });

describe('draft invoice', () => {
  it('prints each charge with quantity, amount, exact amount, explanation and service period', () => {
    const json = toJson(draftInvoice(parties, [ratedPeriod(lines)]));
    expect(json).toMatchObject({
      kind: 'period',
      customer_id: 'cus_1',
      currency: 'USD',
      periods: [
        {
          billing_period_id: 'bpd_1',
          subscription_id: 'sub_1',
          plan_version_id: 'plv_1',
          start: '2026-10-01T00:00:00Z',
          end: '2026-11-01T00:00:00Z',
          watermark: '10',
        },
      ],
      subtotal: '25.44',
      total: '25.44',
    });
    expect(
      json.lines.map((line) => [
        line.position,
        line.charge_code,
        line.description,
        line.quantity,
        line.precise_amount,
        line.amount,
      ]),
    ).toEqual([
      [1, 'base', 'Base fee', '1', '20', '20.00'],
      [2, 'requests', 'Requests', '221', '4.5', '4.50'],
      [3, 'input', 'Input tokens', '426684', '0.8440416', '0.84'],
      [4, 'output', 'Output tokens', '6462', '0.09693', '0.10'],
    ]);
    expect(json.lines[2]?.steps.map((step) => [step.from, step.to, step.units, step.unit_amount, step.amount])).toEqual(
      [
        ['0', '100000', '100000', '0', '0'],
        ['100000', '200000', '100000', '0.000003', '0.3'],
        ['200000', null, '226684', '0.0000024', '0.5440416'],
      ],
    );
    expect(json.lines.every((line) => line.service_period.start === '2026-10-01T00:00:00Z')).toBe(true);
  });

  it('may be over several billing periods, whose lines follow each other', () => {
    const second = { ...parties, billingPeriodId: 'bpd_2', subscriptionId: 'sub_2' };
    const json = toJson(
      draftInvoice(parties, [
        ratedPeriod(lines),
        { ...ratedPeriod(lines.map((line) => ({ ...line, ...second }))), ...second, watermark: 12n },
      ]),
    );
    expect(json.lines.map(({ position, billing_period_id }) => `${position} ${billing_period_id}`)).toEqual([
      ...lines.map((_, index) => `${index + 1} bpd_1`),
      ...lines.map((_, index) => `${index + 1 + lines.length} bpd_2`),
    ]);
    expect(json.periods.map(({ subscription_id, watermark }) => [subscription_id, watermark])).toEqual([
      ['sub_1', '10'],
      ['sub_2', '12'],
    ]);
    expect(json.total).toBe('50.88');
  });

  it('[I12] the order in which lines arrive changes no byte', () => {
    const expected = JSON.stringify(toJson(draftInvoice(parties, [ratedPeriod(lines)])));
    fc.assert(
      fc.property(fc.shuffledSubarray(lines, { minLength: lines.length }), (shuffled) => {
        expect(JSON.stringify(toJson(draftInvoice(parties, [ratedPeriod(shuffled)])))).toBe(expected);
      }),
    );
  });

  it('[I19] the total is the sum of the printed lines', () => {
    const anyLines = fc
      .record({
        currency: anyCurrency,
        rounding: roundingModes,
        items: fc.array(pricedUsages, { maxLength: 8 }),
      })
      .map(({ currency, rounding, items }) => ({
        currency,
        rated: items.map(({ price, ...usage }, index): RatedLine => {
          const charge = { code: `c${index}`, name: 'C', meter: 'm', price };
          return { ...parties, ...rateCharge(charge, usage, currency, { rounding }), position: index + 1 };
        }),
      }));
    fc.assert(
      fc.property(anyLines, ({ currency, rated }) => {
        const json = toJson(draftInvoice({ ...parties, currency }, [ratedPeriod(rated)]));
        const printed = json.lines.reduce((sum, line) => sum.add(line.amount), new Exact(0));
        expect(printed.equals(json.subtotal) && printed.equals(json.total)).toBe(true);
        for (const line of json.lines) {
          const explained = line.steps.reduce((sum, step) => sum.add(step.amount), new Exact(0));
          expect(explained.equals(line.precise_amount)).toBe(true);
        }
      }),
      { numRuns: scaled(500) },
    );
  });

  it('[I19] lines are rounded and then summed: three times 0.004 is 0.00 and not 0.01', () => {
    const charge = (code: string) => ({
      code,
      name: code,
      meter: 'm',
      price: priceOf({ model: 'per_unit', unit_amount: '0.004' }),
    });
    const rated = ['a', 'b', 'c'].map(
      (code, index): RatedLine => ({
        ...parties,
        ...rateCharge(charge(code), { quantity: oneQuantity }, 'USD', { rounding: 'half_up' }),
        position: index + 1,
      }),
    );
    const draft = draftInvoice(parties, [ratedPeriod(rated)]);
    expect(draft.total).toBe(0n);
    expect(sumPrecise(draft.lines.map((line) => line.precise))).toBe(12n * 10n ** 21n);
    expect(sumAmounts(draft.lines.map((line) => line.amount))).toBe(draft.total);
  });

  it('an invoice without lines is an invoice over nothing', () => {
    expect(toJson(draftInvoice({ ...parties, currency: 'JPY' }, [ratedPeriod([])]))).toMatchObject({
      lines: [],
      subtotal: '0',
      total: '0',
    });
  });

  it.each([
    ['subscription', { subscriptionId: 'sub_2' }],
    ['customer', { customerId: 'cus_2' }],
    ['plan version', { planVersionId: 'plv_2' }],
    ['currency', { currency: 'EUR' }],
    ['billing period', { billingPeriodId: 'bpd_2' }],
    ['time', { span: { start: october.start, end: october.end - 1 } }],
  ] as const)('a line of another %s never reaches an invoice', (what, change) => {
    const foreign = lines.map((line, index) => (index === 1 ? { ...line, ...change } : line));
    expect(() => draftInvoice(parties, [ratedPeriod(foreign)])).toThrow(what);
  });

  it('[I2] the same charge never stands on an invoice twice', () => {
    expect(() => draftInvoice(parties, [ratedPeriod([...lines, lines[1] as RatedLine])])).toThrow('twice');
  });
});
