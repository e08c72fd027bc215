/**
 * The prices of a charge in further currencies than its plan's own: `{"EUR": {"model": ..., ...}}`. A price in another
 * currency is a price list of its own and no conversion, so its amounts, tiers and free units may differ; its model may
 * not, as a line would be another kind of line.
 */
import { type Currency, isCurrency } from '#schemas/currency.ts';
import { asObject, type Fault, fieldOf, type JsonObject, ownValue } from '#schemas/fault.ts';
import { type Price, type PriceJson, priceToJson, readPrice } from '#schemas/price/price.ts';

/** In the order of their codes, so that the same options are the same JSON. */
export type CurrencyOptions = ReadonlyMap<Currency, Price>;

export const currencyOptionsMax = 50;

/** Absent is none. `price` is that of the charge, where it could be read. */
export const readCurrencyOptions = (
  charge: JsonObject,
  parent: string,
  price: Price | undefined,
  faults: Fault[],
): CurrencyOptions => {
  const given = ownValue(charge, 'currency_options');
  const field = fieldOf(parent, 'currency_options');
  const object = given === undefined ? {} : (asObject(given, field, faults) ?? {});
  const codes = Object.keys(object).toSorted();
  if (codes.length > currencyOptionsMax)
    faults.push({ field, code: 'wrong_length', message: `must have at most ${currencyOptionsMax} currencies` });
  const options = new Map<Currency, Price>();
  for (const code of codes.slice(0, currencyOptionsMax)) {
    const place = fieldOf(field, code.slice(0, 64));
    if (!isCurrency(code)) {
      faults.push({
        field: place,
        code: 'not_allowed',
        message: 'is not an active ISO 4217 currency with a minor unit',
      });
      continue;
    }
    const option = readPrice(ownValue(object, code), place, faults);
    if (option && price && option.model !== price.model)
      faults.push({
        field: fieldOf(place, 'model'),
        code: 'not_allowed',
        message: `must be ${price.model}, as in the charge's own price`,
      });
    if (option) options.set(code, option);
  }
  return options;
};

export const currencyOptionsToJson = (options: CurrencyOptions): Readonly<Record<string, PriceJson>> =>
  Object.fromEntries([...options].map(([code, price]) => [code, priceToJson(price)]));

const codesOf = (item: unknown): Currency[] => {
  const charge = asObject(item, '', []);
  const options = charge && asObject(ownValue(charge, 'currency_options'), '', []);
  return Object.keys(options ?? {}).filter(isCurrency);
};

/** Of all charges, in the order of their codes, as they were sent. */
export const furtherCurrenciesOf = (items: readonly unknown[]): Currency[] =>
  [...new Set(items.flatMap(codesOf))].toSorted();

/**
 * A version has the same currencies in all of its charges, and its own in none of their options: whoever pays in one of
 * them pays for everything. Compared as they were sent, so that a price with a fault still counts as one.
 */
export const addMissingCurrencies = (items: readonly unknown[], own: Currency | undefined, faults: Fault[]): void => {
  const all = furtherCurrenciesOf(items);
  for (const [index, item] of items.entries()) {
    const codes = codesOf(item);
    const fieldIn = (code: Currency) => `charges[${index}].currency_options.${code}`;
    if (!asObject(item, '', [])) continue;
    for (const code of all) {
      if (code === own && codes.includes(code))
        faults.push({
          field: fieldIn(code),
          code: 'not_allowed',
          message: `is the plan's own currency: its price stands in charges[${index}].price`,
        });
      else if (code !== own && !codes.includes(code))
        faults.push({
          field: fieldIn(code),
          code: 'missing',
          message: `must be a price: other charges of the plan have one in ${code}`,
        });
    }
  }
};
