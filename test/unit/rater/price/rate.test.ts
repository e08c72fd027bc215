import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { minorUnitsOf } from '#schemas/currency.ts';
import { type Amount, formatMinorUnits, parseAmount, sumPrecise } from '#schemas/money.ts';
import type { Charge } from '#schemas/plan.ts';
import { parseQuantity, type Quantity } from '#schemas/quantity.ts';
import { defaultRatingPolicy, ratedLineFromJson, ratedLineToJson } from '#schemas/rated-line.ts';
import { priceUsage } from '../../../../rater/price/price-usage.ts';
import { rateCharge, ratePlan } from '../../../../rater/price/rate.ts';
import type { PeriodToRate } from '../../../../rater/price/rating-task.ts';
import { usageByMeter } from '../../../support/invoice-examples.ts';
import { priceOf } from '../../../support/prices.ts';
import {
  amountOracle,
  anyCurrency,
  oracleRounding,
  preciseOracle,
  pricedUsages,
  roundingModes,
} from '../../../support/rating-arbitraries.ts';
import { scaled } from '../../../support/scale.ts';

const quantity = (text: string) => parseQuantity(text) as Quantity;
const amount = (text: string) => parseAmount(text) as Amount;
const perUnit = (code: string, unitAmount: string): Charge => ({
  code,
  name: `Charge ${code}`,
  meter: code,
  price: priceOf({ model: 'per_unit', unit_amount: unitAmount }),
});
const flat: Charge = { code: 'base', name: 'Base fee', meter: null, price: { model: 'flat', amount: amount('20') } };
const measured = { billingPeriodId: 'bpd_1', span: { start: 0, end: 1 } };
const subscription = (charges: Charge[], perMeter: Record<string, string>): PeriodToRate => ({
  ...measured,
  subscriptionId: 'sub_1',
  customerId: 'cus_1',
  planVersionId: 'plv_1',
  currency: 'USD',
  charges,
  usage: usageByMeter(charges, perMeter),
});

/** The steps that bring an amount to a bound. */
const bounds: readonly string[] = ['minimum', 'maximum'];

describe('a billing period with more than the prices of its charges', () => {
  const textOf = (period: PeriodToRate): unknown[] =>
    ratePlan(period, { rounding: 'half_even' }).map((line) => {
      const {
        charge_code,
        charge_name,
        model,
        meter,
        position,
        quantity: units,
        amount: printed,
      } = ratedLineToJson(line);
      return [position, charge_code, charge_name, model, meter, units, printed];
    });
  const usage = subscription([flat, perUnit('calls', '0.125')], { calls: '3' });
  const bound = (text: string) => ({ name: 'A bound', amount: amount(text) });

  it('has no further line where what is charged lies within the bounds, or where there are none', () => {
    expect(textOf({ ...usage, bounds: {} })).toHaveLength(2);
    expect(textOf({ ...usage, bounds: { minimum_commitment: bound('20.38'), spend_cap: bound('20.38') } })).toEqual([
      [1, 'base', 'Base fee', 'flat', null, '1', '20.00'],
      [2, 'calls', 'Charge calls', 'per_unit', 'calls', '3', '0.38'],
    ]);
  });

  it('has a line of what is missing, or is too much, behind those of the charges', () => {
    const [, , missing] = ratePlan({ ...usage, bounds: { minimum_commitment: bound('25') } }, defaultRatingPolicy);
    expect(missing && ratedLineToJson(missing)).toMatchObject({
      position: 3,
      charge_code: 'minimum_commitment',
      charge_name: 'A bound',
      model: 'minimum_commitment',
      meter: null,
      currency: 'USD',
      rounding: 'half_up',
      quantity: '1',
      billable_quantity: '1',
      precise_amount: '4.62',
      amount: '4.62',
      steps: [{ kind: 'minimum', flat_amount: '25', amount: '4.62' }],
    });
    const [, , over] = ratePlan({ ...usage, bounds: { spend_cap: bound('20') } }, defaultRatingPolicy);
    expect(over && ratedLineToJson(over)).toMatchObject({
      charge_code: 'spend_cap',
      precise_amount: '-0.38',
      steps: [{ kind: 'maximum', flat_amount: '20', amount: '-0.38' }],
    });
  });

  it('has one line of a charge whose price changed, which says what was used under each price', () => {
    const [charge] = [perUnit('calls', '0.125')];
    const spanOf = (
      start: number,
      unitAmount: string,
      used: { quantity: string; unmeasuredEvents?: bigint } | undefined,
    ) => ({
      span: { start, end: start + 1 },
      tiers: 'restart' as const,
      sources: start === 0 ? {} : { priceOverrideId: 'pov_1' },
      price: priceOf({ model: 'per_unit', unit_amount: unitAmount }),
      storedPrice: { model: 'per_unit' as const, unit_amount: unitAmount },
      usage: used,
    });
    const spans = [
      spanOf(0, '0.125', { quantity: '3', unmeasuredEvents: 2n }),
      spanOf(1, '1', { quantity: '2' }),
      spanOf(2, '1', undefined),
    ];
    const period = { ...subscription([charge as Charge, flat], { calls: '99' }), priceSpans: { calls: spans } };
    const [line, fee] = ratePlan(period, { rounding: 'half_even' });
    expect(fee?.priceSpans).toBeUndefined();
    expect(line && ratedLineToJson(line)).toMatchObject({
      charge_code: 'calls',
      quantity: '5',
      rounding: 'half_even',
      precise_amount: '2.375',
      amount: '2.38',
      price_spans: [
        { tiers: 'restart', sources: {}, quantity: '3', unmeasured_events: '2' },
        { tiers: 'restart', sources: { price_override_id: 'pov_1' }, quantity: '2', unmeasured_events: '0' },
        { quantity: '0', unmeasured_events: '0' },
      ],
    });
  });
});

describe('the steps of a line', () => {
  it('[I13] sum exactly to its exact amount, and each is its own terms multiplied out', () => {
    fc.assert(
      fc.property(pricedUsages, ({ price, quantity: units, parts }) => {
        const { precise, steps } = priceUsage(price, units, parts);
        expect(sumPrecise(steps.map((step) => step.amount))).toBe(precise);
        for (const step of steps)
          if (!bounds.includes(step.kind))
            expect(step.amount).toBe(step.unitAmount * step.priced + step.flatAmount * 10n ** 12n);
      }),
      { numRuns: scaled(1000) },
    );
  });

  it('account for the whole quantity without gap or overlap', () => {
    fc.assert(
      fc.property(pricedUsages, ({ price, quantity: units, parts }) => {
        if (price.model === 'flat') return;
        const { steps: all, billableQuantity } = priceUsage(price, units, parts);
        const steps = all.filter(({ kind }) => !bounds.includes(kind));
        expect(steps.reduce((sum, step) => sum + step.units, 0n)).toBe(units);
        for (const inCell of Map.groupBy(steps, ({ cell }) => JSON.stringify(cell)).values())
          for (const [index, step] of inCell.entries()) if (index > 0) expect(step.from).toBe(inCell[index - 1]?.to);
        const charged = steps.filter((step) => ['units', 'packages', 'events', 'amounts'].includes(step.kind));
        expect(charged.reduce((sum, step) => sum + step.units, 0n)).toBe(billableQuantity);
      }),
      { numRuns: scaled(1000) },
    );
  });

  it('no price makes an amount below zero', () => {
    fc.assert(
      fc.property(pricedUsages, ({ price, quantity: units, parts }) => priceUsage(price, units, parts).precise >= 0n),
    );
  });
});

describe('rating a charge', () => {
  it('[I13] rounds once, from the exact amount straight to the currency’s minor units, as the policy says', () => {
    fc.assert(
      fc.property(pricedUsages, anyCurrency, roundingModes, ({ price, ...usage }, currency, rounding) => {
        const line = rateCharge({ code: 'c', name: 'C', meter: 'c', price }, usage, currency, { rounding });
        const oracle = preciseOracle(line.precise).toDecimalPlaces(minorUnitsOf(currency), oracleRounding[rounding]);
        expect(amountOracle(line.amount).equals(oracle)).toBe(true);
        expect([line.rounding, line.currency, line.quantity]).toEqual([rounding, currency, usage.quantity]);
      }),
      { numRuns: scaled(1000) },
    );
  });

  it('[I13] a product under half a cent by 10^-16 is no cent: 0.000000000004 x 1249999999.9999', () => {
    const line = rateCharge(
      perUnit('c', '0.000000000004'),
      { quantity: quantity('1249999999.9999') },
      'USD',
      defaultRatingPolicy,
    );
    expect(formatMinorUnits(line.amount, 'USD')).toBe('0.00');
  });

  it('half up is the rule unless a policy says otherwise', () => {
    const half = (rounding: 'half_up' | 'half_even') =>
      rateCharge(perUnit('c', '0.005'), { quantity: quantity('1') }, 'USD', { rounding }).amount;
    expect(defaultRatingPolicy).toEqual({ rounding: 'half_up' });
    expect([half('half_up'), half('half_even')]).toEqual([amount('0.01'), amount('0')]);
  });
});

describe('rating a subscription', () => {
  it('gives one line per charge in the order of the plan, lines of zero included', () => {
    const lines = ratePlan(
      subscription([flat, perUnit('calls', '0.25'), perUnit('unused', '1')], { calls: '3.000000000000' }),
      defaultRatingPolicy,
    );
    expect(
      lines.map(({ position, chargeCode, amount: printed }) => [
        position,
        chargeCode,
        formatMinorUnits(printed, 'USD'),
      ]),
    ).toEqual([
      [1, 'base', '20.00'],
      [2, 'calls', '0.75'],
      [3, 'unused', '0.00'],
    ]);
  });

  it('a meter without usage has quantity 0, also one named like something on the prototype', () => {
    const lines = ratePlan(
      subscription([perUnit('constructor', '1'), perUnit('tostring', '1')], {}),
      defaultRatingPolicy,
    );
    expect(lines.map((line) => line.quantity)).toEqual([0n, 0n]);
  });

  it('a flat charge has quantity 1 and ignores what a meter says', () => {
    const [line] = ratePlan(subscription([flat], { base: '7', null: '7' }), defaultRatingPolicy);
    expect([line?.quantity, line?.amount]).toEqual([quantity('1'), amount('20')]);
  });

  it('a stored quantity that is no decimal stops the rating and is not billed as zero', () => {
    expect(() => ratePlan(subscription([perUnit('calls', '1')], { calls: 'nan' }), defaultRatingPolicy)).toThrow(
      'charge calls of subscription sub_1',
    );
  });

  it('so does one of a price that stood for a while', () => {
    const charge = perUnit('calls', '1');
    const span = {
      span: { start: 0, end: 1 },
      tiers: 'restart' as const,
      sources: { priceOverrideId: 'pov_1' },
      price: charge.price,
      storedPrice: { model: 'per_unit' as const, unit_amount: '1' },
      usage: { quantity: 'nan' },
    };
    const period = { ...subscription([charge], {}), priceSpans: { calls: [span] } };
    expect(() => ratePlan(period, defaultRatingPolicy)).toThrow('charge calls of subscription sub_1');
  });

  it('what a price asks for beyond the quantity comes with it, as the store prints it', () => {
    const price = priceOf({ model: 'percentage', percent: '2.9', fixed_amount: '0.3' });
    const charges: Charge[] = [{ code: 'sales', name: 'Sales', meter: 'sales', price }];
    const period = subscription(charges, {});
    const parts = [{ part: 'rate', quantity: '100.000000000000', events: '2' }];
    const rated = (usage: PeriodToRate['usage']) => ratePlan({ ...period, usage }, defaultRatingPolicy)[0];
    const line = rated({ sales: { quantity: '100.000000000000', parts } });
    expect([line?.quantity, line?.amount]).toEqual([quantity('100'), amount('3.5')]);
    expect(rated({ sales: { quantity: '100' } })?.amount).toBe(0n);
    expect(() => rated({ sales: { quantity: '1', parts: [{ part: 'rate', quantity: 'nan', events: '1' }] } })).toThrow(
      'the quantity of charge sales of subscription sub_1 is not a decimal: nan',
    );
  });

  it('[I12] the JSON of a line has one form, down to the byte', () => {
    const [line] = ratePlan(
      subscription([perUnit('calls', '0.000015')], { calls: '6462.000000000000' }),
      defaultRatingPolicy,
    );
    expect(JSON.stringify(ratedLineToJson(line as never))).toBe(
      '{"billing_period_id":"bpd_1","span":{"start":"1970-01-01T00:00:00.000Z","end":"1970-01-01T00:00:00.001Z"},' +
        '"subscription_id":"sub_1","customer_id":"cus_1","plan_version_id":"plv_1","position":1,"charge_code":"calls","charge_name":"Charge calls",' +
        '"model":"per_unit","meter":"calls","currency":"USD","rounding":"half_up","quantity":"6462","billable_quantity":"6462",' +
        '"precise_amount":"0.09693","amount":"0.10","steps":[{"kind":"units","from":"0","to":null,"units":"6462","priced":"6462",' +
        '"unit_amount":"0.000015","flat_amount":"0","amount":"0.09693"}]}',
    );
  });

  it('a stored line reads back as it was, and damage to it is noticed', () => {
    fc.assert(
      fc.property(pricedUsages, anyCurrency, ({ price, ...usage }, currency) => {
        const line = {
          ...rateCharge({ code: 'c', name: 'C', meter: 'c', price }, usage, currency, defaultRatingPolicy),
          ...measured,
          subscriptionId: 's',
          customerId: 'c',
          planVersionId: 'p',
          position: 1,
        };
        expect(ratedLineFromJson(JSON.parse(JSON.stringify(ratedLineToJson(line))), measured)).toEqual(line);
        expect(() => ratedLineFromJson({ ...ratedLineToJson(line), amount: '1e3' }, measured)).toThrow("can't be read");
      }),
      { numRuns: scaled(1000) },
    );
  });

  it('an absurd amount is not cut: a package of 10^-12 units over the widest quantity reads back whole', () => {
    const price = priceOf({ model: 'package', package_amount: '9'.repeat(20), package_size: '0.000000000001' });
    const absurd: PeriodToRate = subscription([{ code: 'c', name: 'C', meter: 'c', price }], {
      c: '9'.repeat(64),
    });
    const [line] = ratePlan(absurd, defaultRatingPolicy);
    expect(line?.precise).toBe((10n ** 64n - 1n) * 10n ** 12n * (10n ** 20n - 1n) * 10n ** 24n);
    expect(ratedLineFromJson(ratedLineToJson(line as never), measured)).toEqual(line);
  });

  it('nor is a fixed part of many events that has more digits than a price may have', () => {
    const price = priceOf({ model: 'percentage', percent: '1', fixed_amount: '9'.repeat(20) });
    const charges: Charge[] = [{ code: 'c', name: 'C', meter: 'c', price }];
    const parts = [{ part: 'rate', quantity: '0', events: '1000000000000' }];
    const [line] = ratePlan(
      { ...subscription(charges, {}), usage: { c: { quantity: '0', parts } } },
      defaultRatingPolicy,
    );
    expect(line?.precise).toBe((10n ** 20n - 1n) * 10n ** 36n);
    expect(ratedLineFromJson(ratedLineToJson(line as never), measured)).toEqual(line);
  });
});
