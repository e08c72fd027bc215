/** A plan version: what a subscription is charged for. Its JSON is public; its prices are in `price/`. */
import type { PlanKind } from '#schemas/add-on.ts';
import {
  type ChargeTimes,
  type ChargeTimesJson,
  chargeTimeNames,
  chargeTimesToJson,
  readChargeTimes,
} from '#schemas/charge-times.ts';
import { readUnitOfCharge } from '#schemas/credit-unit.ts';
import { type Currency, isCurrency } from '#schemas/currency.ts';
import {
  addMissingCurrencies,
  type CurrencyOptions,
  currencyOptionsToJson,
  furtherCurrenciesOf,
  readCurrencyOptions,
} from '#schemas/currency-options.ts';
import { readName } from '#schemas/display-name.ts';
import {
  asObject,
  type Fault,
  fieldOf,
  type JsonObject,
  ownValue,
  type Parsed,
  readArray,
  readObject,
  readText,
  type TextRule,
} from '#schemas/fault.ts';
import { codeRule, newNameFault, readNewCode } from '#schemas/names.ts';
import { isPeriodBound } from '#schemas/period-bound.ts';
import {
  type GeneralTerms,
  type GeneralTermsJson,
  generalTermNames,
  generalTermsToJson,
  readGeneralTerms,
} from '#schemas/plan-terms.ts';
import { creditFaults } from '#schemas/price/credits.ts';
import { modelNamed, type Price, type PriceJson, priceToJson, readPrice, seatModels } from '#schemas/price/price.ts';

/**
 * `meter` is the code of the meter whose quantity is priced; a flat charge has none. `code` is unique within its plan
 * version.
 */
export type Charge = {
  readonly code: string;
  readonly name: string;
  readonly meter: string | null;
  readonly price: Price;
};

/** A charge as its plan has it: with its price in the plan's own currency, and in others, and when it is due. */
export type PlanCharge = Charge &
  ChargeTimes & {
    /** The unit of credits that the amounts of all its prices are in; null where they are money. */
    readonly creditUnit: string | null;
    /** Which tax rates are for it; null where no rate is for it alone. */
    readonly taxCategory: string | null;
    readonly currencyOptions: CurrencyOptions;
    /** Whether the seats of a subscription are what is priced. */
    readonly seats: boolean;
  };

/** What a plan version charges; what the plan is called is not of a version. */
export type PlanTerms = GeneralTerms & {
  readonly currency: Currency;
  readonly charges: readonly PlanCharge[];
};

export type PlanVersion = PlanTerms & { readonly code: string; readonly name: string };

/** A draft may change, an active version is subscribed to, an archived one charges who has it and nobody new. */
export const planVersionStates = ['draft', 'active', 'archived'] as const;
export type PlanVersionState = (typeof planVersionStates)[number];

export const chargesMax = 100;

/** The canonical JSON of a charge, which is what is stored and answered. */
export type ChargeJson = ChargeTimesJson & {
  readonly code: string;
  readonly name: string;
  readonly meter: string | null;
  /** Absent where it is false, as charges were written before there were seats. */
  readonly seats?: true;
  /** Absent where the amounts are money. */
  readonly credit_unit?: string;
  /** Absent where there is none, as charges were written before there were taxes. */
  readonly tax_category?: string;
  readonly price: PriceJson;
  /** Absent where there is none, as charges were written before there could be any. */
  readonly currency_options?: Readonly<Record<string, PriceJson>>;
};
/** What the charges are, without what holds over all of them. */
export type ChargesJson = {
  readonly currency: string;
  readonly charges: readonly ChargeJson[];
};
export type PlanTermsJson = ChargesJson & GeneralTermsJson;
export type PlanVersionJson = PlanTermsJson & {
  readonly code: string;
  readonly name: string;
};

const termNames = ['currency', 'charges', ...generalTermNames];

/** All faults are listed, with paths from the root of the plan version. */
export const planVersionFromJson = (json: unknown, kind: PlanKind = 'plan'): Parsed<PlanVersion> => {
  const faults: Fault[] = [];
  const object = readObject(json, '', ['code', 'name', ...termNames], faults);
  if (!object) return { ok: false, faults };
  const code = readNewCode(object, '', faults);
  const name = readName(object, '', faults);
  const terms = readTerms(object, kind, faults);
  if (faults.length > 0 || code === undefined || name === undefined || !terms) return { ok: false, faults };
  return { ok: true, value: { code, name, ...terms } };
};

/** The same of a version of a plan that is there already. */
export const planTermsFromJson = (json: unknown, kind: PlanKind = 'plan'): Parsed<PlanTerms> => {
  const faults: Fault[] = [];
  const object = readObject(json, '', termNames, faults);
  const terms = object && readTerms(object, kind, faults);
  return terms && faults.length === 0 ? { ok: true, value: terms } : { ok: false, faults };
};

const readTerms = (object: JsonObject, kind: PlanKind, faults: Fault[]): PlanTerms | undefined => {
  const currency = readCurrency(object, faults);
  const items = readArray(object, 'charges', '', chargesMax, faults) ?? [];
  const charges = items
    .map((item, index) => readCharge(item, `charges[${index}]`, faults))
    .filter((charge) => charge !== undefined);
  addDuplicateCodes(items, faults);
  addForbiddenCodes(items, faults);
  addMissingCurrencies(items, currency, faults);
  addCodesOfBounds(object, items, faults);
  const others = items.length === 0 ? undefined : furtherCurrenciesOf(items).filter((code) => code !== currency);
  const general = readGeneralTerms(object, kind, { own: currency, others }, faults);
  return currency && general && { currency, charges, ...general };
};

/** The code of a charge as it was sent, whatever else is wrong with it. */
const sentCode = (item: unknown): string | undefined => {
  const object = asObject(item, '', []);
  const code = object && ownValue(object, 'code');
  return typeof code === 'string' ? code : undefined;
};

/** Compared as they were sent, so that a charge with another fault still counts as the first or the second one. */
const addDuplicateCodes = (items: readonly unknown[], faults: Fault[]): void => {
  const firstByCode = new Map<string, number>();
  for (const [index, item] of items.entries()) {
    const code = sentCode(item);
    if (code === undefined) continue;
    const first = firstByCode.get(code);
    if (first === undefined) firstByCode.set(code, index);
    else
      faults.push({
        field: `charges[${index}].code`,
        code: 'duplicate',
        message: `is already the code of charges[${first}]`,
      });
  }
};

/** A bound over all charges has a line of its own, which is told from those of the charges by its code. */
const addCodesOfBounds = (object: JsonObject, items: readonly unknown[], faults: Fault[]): void => {
  for (const [index, item] of items.entries()) {
    const code = sentCode(item);
    if (code !== undefined && isPeriodBound(code) && (ownValue(object, code) ?? null) !== null)
      faults.push({
        field: `charges[${index}].code`,
        code: 'not_allowed',
        message: `must be another: the plan's ${code} has a line of this code`,
      });
  }
};

/** Not a matter of `readCharge`, which reads what is stored, too: plans from before the rule are billed as they are. */
const addForbiddenCodes = (items: readonly unknown[], faults: Fault[]): void => {
  for (const [index, item] of items.entries()) {
    const code = sentCode(item);
    const fault = code === undefined ? undefined : newNameFault(code, `charges[${index}].code`);
    if (fault) faults.push(fault);
  }
};

export const chargeFromJson = (json: unknown, field = ''): Parsed<PlanCharge> => {
  const faults: Fault[] = [];
  const value = readCharge(json, field, faults);
  return value && faults.length === 0 ? { ok: true, value } : { ok: false, faults };
};

const chargeNames = [
  ...['code', 'name', 'meter', 'seats', 'credit_unit', 'tax_category', 'price', 'currency_options'],
  ...chargeTimeNames,
];

const readCharge = (json: unknown, field: string, faults: Fault[]): PlanCharge | undefined => {
  const object = readObject(json, field, chargeNames, faults);
  if (!object) return undefined;
  const code = readText(object, 'code', field, codeRule, faults);
  const name = readName(object, field, faults);
  const price = readPrice(ownValue(object, 'price'), fieldOf(field, 'price'), faults);
  const currencyOptions = readCurrencyOptions(object, field, price, faults);
  const seats = readSeats(object, field, faults);
  const meter = readMeter(object, field, seats === true, faults);
  const creditUnit = readUnitOfCharge(object, field, faults);
  const taxCategory = readTaxCategory(object, field, faults);
  const isMetered = modelNamed(ownValue(object, 'price'))?.metered;
  const times = readChargeTimes(object, field, isMetered && !seats, faults);
  if (code === undefined || name === undefined || !price || meter === undefined || creditUnit === undefined || !times)
    return undefined;
  if (seats === undefined || taxCategory === undefined) return undefined;
  if (creditUnit !== null) {
    const unitField = fieldOf(field, 'credit_unit');
    faults.push(...creditFaults(price, fieldOf(field, 'price'), unitField));
    for (const [currency, option] of currencyOptions)
      if (option.model === price.model)
        faults.push(...creditFaults(option, `${fieldOf(field, 'currency_options')}.${currency}`, unitField));
  }
  return { code, name, meter, seats, creditUnit, taxCategory, price, currencyOptions, ...times };
};

/** Undefined with a fault. */
const readTaxCategory = (object: JsonObject, field: string, faults: Fault[]): string | null | undefined =>
  (ownValue(object, 'tax_category') ?? null) === null
    ? null
    : readText(object, 'tax_category', field, codeRule, faults);

/** Undefined with a fault. */
const readSeats = (object: JsonObject, parent: string, faults: Fault[]): boolean | undefined => {
  const given = ownValue(object, 'seats') ?? false;
  const field = fieldOf(parent, 'seats');
  if (typeof given !== 'boolean') {
    faults.push({ field, code: 'wrong_type', message: 'must be true or false' });
    return undefined;
  }
  const model = modelNamed(ownValue(object, 'price'));
  if (!given || !model || seatModels.some((name) => name === model.name)) return given;
  const message = `must be false: seats are priced by ${seatModels.join(', ')}`;
  faults.push({ field, code: 'not_allowed', message });
  return undefined;
};

/** Whether a meter must be there depends on the model; where that is not known, its own fault is enough. */
const readMeter = (
  object: JsonObject,
  parent: string,
  isOfSeats: boolean,
  faults: Fault[],
): string | null | undefined => {
  const field = fieldOf(parent, 'meter');
  const model = modelNamed(ownValue(object, 'price'));
  const none = (ownValue(object, 'meter') ?? null) === null;
  if (isOfSeats && none) return null;
  if (isOfSeats) {
    faults.push({ field, code: 'not_allowed', message: 'must be null: the charge is priced by seats' });
    return undefined;
  }
  if (none && !model?.metered) return null;
  if (none) {
    faults.push({ field, code: 'missing', message: 'must be the code of the meter that is priced' });
    return undefined;
  }
  if (!model || model.metered) return readText(object, 'meter', parent, codeRule, faults);
  faults.push({ field, code: 'not_allowed', message: 'must be null: a price of this model has no meter' });
  return undefined;
};

const readCurrency = (object: JsonObject, faults: Fault[]): Currency | undefined => {
  const rule: TextRule = { pattern: /^[A-Z]{3}$/, about: 'an ISO 4217 code in upper case' };
  const code = readText(object, 'currency', '', rule, faults);
  if (code === undefined || isCurrency(code)) return code;
  faults.push({
    field: 'currency',
    code: 'not_allowed',
    message: `"${code}" is not an active ISO 4217 currency with a minor unit`,
  });
  return undefined;
};

export const chargeToJson = (charge: Charge | PlanCharge): ChargeJson => ({
  code: charge.code,
  name: charge.name,
  meter: charge.meter,
  ...('seats' in charge && charge.seats && { seats: true as const }),
  ...('creditUnit' in charge && charge.creditUnit !== null && { credit_unit: charge.creditUnit }),
  ...('taxCategory' in charge && charge.taxCategory !== null && { tax_category: charge.taxCategory }),
  price: priceToJson(charge.price),
  ...('currencyOptions' in charge && {
    ...(charge.currencyOptions.size > 0 && { currency_options: currencyOptionsToJson(charge.currencyOptions) }),
    ...chargeTimesToJson(charge),
  }),
});

/**
 * A stored charge as it is rated in a currency: with that price alone, and the rest as it is stored. `own` is the
 * currency of its plan version. Undefined where it has no price in the one that is asked for.
 */
export const chargeJsonIn = (
  { currency_options: options = {}, ...charge }: ChargeJson,
  currency: string,
  own: string,
): ChargeJson | undefined => {
  if (currency === own) return charge;
  const price = Object.hasOwn(options, currency) ? options[currency] : undefined;
  return price && { ...charge, price };
};

/** Every currency that a version has prices in, its own first. */
export const currenciesOf = ({ currency, charges }: ChargesJson): string[] => [
  currency,
  ...Object.keys(charges[0]?.currency_options ?? {}),
];

export const planTermsToJson = ({ currency, charges, ...general }: PlanTerms): PlanTermsJson => ({
  currency,
  charges: charges.map(chargeToJson),
  ...generalTermsToJson(general),
});

export const planVersionToJson = (plan: PlanVersion): PlanVersionJson => ({
  code: plan.code,
  name: plan.name,
  ...planTermsToJson(plan),
});
