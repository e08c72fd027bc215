/**
 * What plans charge as everyone may see it: a price by a cost book as the amounts that it comes to now. What units cost
 * us, and by which factor that is sold, is nobody else's business. Pure.
 */
import { isCurrency } from '#schemas/currency.ts';
import type { Instant } from '#schemas/period.ts';
import type { ChargeJson, PlanTermsJson } from '#schemas/plan.ts';
import { type Price, type PriceJson, priceFromJson, priceToJson } from '#schemas/price/price.ts';
import { resolvePrice } from '../../rater/price/resolve-price.ts';
import { type SourceNames, type SourceRows, sourceNamesOf } from '../../rater/price/source-rows.ts';

const pricesOf = ({ price, currency_options: options = {} }: ChargeJson): PriceJson[] => [
  price,
  ...Object.values(options),
];

const bookPrice = (json: PriceJson): Price | undefined => {
  const parsed = json.model === 'cost_book' ? priceFromJson(json) : undefined;
  return parsed?.ok ? parsed.value : undefined;
};

/** What has to be read before. */
export const publicSourceNames = (plans: readonly PlanTermsJson[]): SourceNames =>
  sourceNamesOf(
    plans
      .flatMap(({ charges }) => charges.flatMap(pricesOf))
      .flatMap((json) => bookPrice(json) ?? [])
      .map((price) => ({ price, creditUnit: null })),
  );

export const publicTerms = (terms: PlanTermsJson, rows: SourceRows, at: Instant): PlanTermsJson => {
  const shown = (json: PriceJson, currency: string): PriceJson => {
    const price = bookPrice(json);
    if (!price || !isCurrency(currency)) return json;
    return priceToJson(resolvePrice({ price, creditUnit: null }, currency, at, rows).price);
  };
  const charges = terms.charges.map(({ price, currency_options: options, ...charge }) => ({
    ...charge,
    price: shown(price, terms.currency),
    ...(options && {
      currency_options: Object.fromEntries(Object.entries(options).map(([code, one]) => [code, shown(one, code)])),
    }),
  }));
  return { ...terms, charges };
};
