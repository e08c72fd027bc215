/**
 * The line that brings what a billing period costs over all charges to the least or the most that the plan version
 * says. Shared by rater and api.
 */
import assert from 'node:assert/strict';
import { type Amount, formatAmount, parseAmount } from '#schemas/money.ts';
import type { GeneralTermsJson } from '#schemas/plan-terms.ts';

export const periodBoundNames = ['minimum_commitment', 'spend_cap'] as const;
export type PeriodBoundName = (typeof periodBoundNames)[number];

export const isPeriodBound = (model: string): model is PeriodBoundName =>
  (periodBoundNames as readonly string[]).includes(model);

/** In the currency of one subscription. */
export type PeriodBoundIn = { readonly name: string; readonly amount: Amount };
export type PeriodBoundsIn = { readonly [Name in PeriodBoundName]?: PeriodBoundIn };

/** As it goes into the hash of its line: like a charge that has no meter. */
export type BoundChargeJson = {
  readonly code: PeriodBoundName;
  readonly name: string;
  readonly meter: null;
  readonly price: { readonly model: PeriodBoundName; readonly amount: string };
};

/** `own` is the currency of the plan version. */
export const periodBoundsIn = (
  terms: Partial<GeneralTermsJson> | null,
  currency: string,
  own: string,
): PeriodBoundsIn =>
  Object.fromEntries(
    periodBoundNames.flatMap((name) => {
      const bound = terms?.[name];
      if (!bound) return [];
      const amount = parseAmount(currency === own ? bound.amount : (bound.currency_options[currency] ?? ''));
      assert(amount !== undefined, `the ${name} of a plan version has an amount in ${currency}`);
      return [[name, { name: bound.name, amount }]];
    }),
  );

export const boundChargeToJson = (code: PeriodBoundName, { name, amount }: PeriodBoundIn): BoundChargeJson => ({
  code,
  name,
  meter: null,
  price: { model: code, amount: formatAmount(amount) },
});
