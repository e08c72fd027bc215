/** Whether all that the prices of a plan refer to is there, and fits them: books of costs, credit units. Pure. */
import type { Currency } from '#schemas/currency.ts';
import type { Fault } from '#schemas/fault.ts';
import type { Instant } from '#schemas/period.ts';
import type { PlanCharge } from '#schemas/plan.ts';
import type { CostBookPrice } from '#schemas/price/cost-book.ts';
import type { Price } from '#schemas/price/price.ts';
import { isPricedAt, type ReferringPrice } from '../../rater/price/resolve-price.ts';
import type { SourceRows } from '../../rater/price/source-rows.ts';

/** A price of a charge in one currency, and where it stands. */
type PricePlace = { readonly price: Price; readonly currency: Currency; readonly field: string };

const dimensionFaults = (price: CostBookPrice, dimensions: readonly string[], field: string): Fault[] => {
  const said = price.dimensions.map(({ dimension }) => dimension);
  const missing = dimensions.filter((one) => !said.includes(one));
  return [
    ...said.flatMap((one, index) =>
      dimensions.includes(one)
        ? []
        : [
            {
              field: `${field}.dimensions[${index}].dimension`,
              code: 'unknown_field',
              message: `is none of the dimensions of cost book ${price.costBook}: ${dimensions.join(', ')}`,
            },
          ],
    ),
    ...(missing.length === 0
      ? []
      : [
          {
            field: `${field}.dimensions`,
            code: 'missing',
            message: `must say a property for each dimension of cost book ${price.costBook}; it says none for ${missing.join(', ')}`,
          },
        ]),
  ];
};

const bookFaults = (price: Price, { currency, field }: PricePlace, { books }: SourceRows): Fault[] => {
  if (price.model !== 'cost_book') return [];
  const book = books.get(price.costBook);
  const place = `${field}.cost_book`;
  if (!book) return [{ field: place, code: 'not_found', message: `there is no cost book ${price.costBook}` }];
  const ofCurrency =
    book.currency === currency
      ? []
      : [{ field: place, code: 'not_allowed', message: `is in ${book.currency}, and the price in ${currency}` }];
  return [...ofCurrency, ...dimensionFaults(price, book.dimensions, field)];
};

/** What nobody can be charged by at `at`, as it is to be in force then. */
const forceFaults = (
  charge: ReferringPrice,
  { price, currency, field }: PricePlace,
  at: Instant,
  sources: SourceRows,
) => {
  if (isPricedAt({ ...charge, price }, currency, at, sources)) return [];
  return [
    price.model === 'cost_book'
      ? {
          field: `${field}.cost_book`,
          code: 'not_in_force',
          message: `cost book ${price.costBook} has no version in force yet`,
        }
      : {
          field,
          code: 'not_in_force',
          message: `no rate in force yet leads from ${charge.creditUnit} to ${currency}`,
        },
  ];
};

/** Where a charge says its price, and its credit unit. */
type ChargePlaces = { readonly price: string; readonly unit: string; readonly options: string };

export const chargePlaces = (field: string): ChargePlaces => ({
  price: `${field}.price`,
  unit: `${field}.credit_unit`,
  options: `${field}.currency_options`,
});

/** `own` is the currency of the plan. `activeAt` is from when on it is charged; a draft has no such time yet. */
export const sourceFaults = (
  charge: ReferringPrice & Pick<PlanCharge, 'currencyOptions'>,
  own: Currency,
  field: ChargePlaces,
  sources: SourceRows,
  activeAt: Instant | undefined,
): Fault[] => {
  const { price, currencyOptions, creditUnit } = charge;
  if (creditUnit !== null && !sources.rates.has(creditUnit))
    return [{ field: field.unit, code: 'not_found', message: `there is no credit unit ${creditUnit}` }];
  const places: PricePlace[] = [
    { price, currency: own, field: field.price },
    ...[...currencyOptions].map(([currency, option]) => ({
      price: option,
      currency,
      field: `${field.options}.${currency}`,
    })),
  ];
  return places.flatMap((place) => {
    const faults = bookFaults(place.price, place, sources);
    return faults.length > 0 || activeAt === undefined ? faults : forceFaults(charge, place, activeAt, sources);
  });
};
