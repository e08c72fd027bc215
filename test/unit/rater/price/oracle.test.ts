/** Every price model against a formula of its own in exact decimals (`test/support/price-oracle.ts`). */
import type { Decimal } from 'decimal.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { JsonObject } from '#schemas/fault.ts';
import { type Price, priceModels, priceToJson, usagePartsOf } from '#schemas/price/price.ts';
import type { Quantity } from '#schemas/quantity.ts';
import { priceUsage } from '../../../../rater/price/price-usage.ts';
import type { Part, Parts } from '../../../../rater/price/usage.ts';
import { oracleCells, oracleOf, oracleOfEvent } from '../../../support/price-oracle.ts';
import { priceOf } from '../../../support/prices.ts';
import {
  Exact,
  eventPrices,
  matrixPrices,
  preciseOracle,
  pricedUsages,
  prices,
  quantities,
  quantityOracle,
} from '../../../support/rating-arbitraries.ts';
import { scaled } from '../../../support/scale.ts';

const oraclePart = ({ quantity, events }: Part) => ({
  quantity: quantityOracle(quantity),
  events: new Exact(events.toString()),
});
const oracleParts = (parts: Parts) => new Map([...parts].map(([name, part]) => [name, oraclePart(part)]));
const costOf = (price: Price, quantity: Quantity, parts?: Parts): Decimal =>
  preciseOracle(priceUsage(price, quantity, parts).precise);
const sum = (terms: readonly Decimal[]): Decimal => terms.reduce((total, term) => total.add(term), new Exact(0));

const signedQuantities = fc
  .tuple(quantities, fc.constantFrom(1n, 1n, 1n, -1n))
  .map(([value, sign]) => (value * sign) as Quantity);
const withoutBounds = ({ minimum_amount: _, maximum_amount: __, ...json }: JsonObject): JsonObject => json;

/** Adds up what falls into the same part. */
const partsOf = (events: readonly { readonly part: string; readonly value: Quantity }[]): Parts => {
  const parts = new Map<string, Part>();
  for (const { part, value } of events) {
    const { quantity, events: count } = parts.get(part) ?? { quantity: 0n, events: 0n };
    parts.set(part, { quantity: (quantity + value) as Quantity, events: count + 1n });
  }
  return parts;
};

describe('[I13] the exact amount is that of the formula', () => {
  it('for every model, with any usage', () => {
    fc.assert(
      fc.property(pricedUsages, ({ price, quantity, parts }) => {
        const expected = oracleOf(priceToJson(price), quantityOracle(quantity), oracleParts(parts));
        expect(costOf(price, quantity, parts).toFixed()).toBe(expected.toFixed());
      }),
      { numRuns: scaled(4000) },
    );
  });

  it('random prices are of every model', () => {
    const drawn = fc.sample(prices, { numRuns: 500, seed: 1 }).map(({ model }) => model);
    // A cost book is rated as the matrix that it comes to.
    const rated = priceModels.map(({ name }) => name).filter((name) => name !== 'cost_book');
    expect([...new Set(drawn)].sort()).toEqual(rated.sort());
  });

  it('for events with a price of their own, event by event', () => {
    fc.assert(
      fc.property(eventPrices, fc.array(signedQuantities, { maxLength: 12 }), (price, values) => {
        if (!usagePartsOf(price).events) return;
        const json = withoutBounds(priceToJson(price));
        const limit = (name: string): Decimal | undefined =>
          json[name] === undefined ? undefined : new Exact(json[name] as string);
        const partFor = (value: Quantity, index: number): string => {
          if (index < (json.free_events as number)) return 'free';
          if (value < 0n) return 'below_zero';
          const share = quantityOracle(value)
            .mul(json.percent as string)
            .div(100)
            .add(json.fixed_amount as string);
          if (share.lt(limit('event_minimum_amount') ?? share)) return 'minimum';
          return share.gt(limit('event_maximum_amount') ?? share) ? 'maximum' : 'rate';
        };
        const parts = partsOf(values.map((value, index) => ({ part: partFor(value, index), value })));
        const charged = values.slice(json.free_events as number);
        const expected = sum(charged.map((value) => oracleOfEvent(json, quantityOracle(value))));
        expect(costOf(priceOf(json), 0n as Quantity, parts).toFixed()).toBe(expected.toFixed());
      }),
      { numRuns: scaled(1000) },
    );
  });

  it('for a matrix, event by event, each at the price of the cell that it matches best', () => {
    const events = fc.array(
      fc.record({
        model: fc.constantFrom('a', 'b', '*a', 'other'),
        kind: fc.constantFrom('x', 'y', 'other'),
        value: quantities,
      }),
      { maxLength: 12 },
    );
    fc.assert(
      fc.property(matrixPrices, events, (price, sold) => {
        const json = priceToJson(price);
        const matches = (names: Readonly<Record<string, string | null>>, event: { model: string; kind: string }) =>
          (names.model ?? event.model) === event.model && (names.kind ?? event.kind) === event.kind;
        const asked = usagePartsOf(price).cells?.cells ?? [];
        const told = partsOf(
          sold.map((event) => ({
            part: String(asked.findIndex(([model = null, kind = null]) => matches({ model, kind }, event)) + 1),
            value: event.value,
          })),
        );
        const cells = oracleCells(json);
        const known = partsOf(
          sold.map((event) => ({
            part: String(cells.findIndex(({ match }) => matches(match, event)) + 1),
            value: event.value,
          })),
        );
        const expected = oracleOf(json, new Exact(0), oracleParts(known));
        expect(costOf(price, 0n as Quantity, told).toFixed()).toBe(expected.toFixed());
      }),
      { numRuns: scaled(1000) },
    );
  });
});
