/**
 * What holds of a plan version over all of its charges: how long a subscription lasts at least, what a billing period
 * costs at least and at most, and what the version entitles to. A bound is
 * printed money, so its amounts are whole minor units of their currencies; it has an amount in each currency that the
 * charges have prices in.
 */
import { type AddOn, type AddOnJson, addOnToJson, type PlanKind, readAddOn } from '#schemas/add-on.ts';
import { type Currency, isCurrency, minorUnitsOf } from '#schemas/currency.ts';
import { currencyOptionsMax } from '#schemas/currency-options.ts';
import { readName } from '#schemas/display-name.ts';
import { type Entitlement, type EntitlementJson, entitlementToJson, readEntitlements } from '#schemas/entitlement.ts';
import { asObject, type Fault, fieldOf, type JsonObject, ownValue, readAmount, readObject } from '#schemas/fault.ts';
import { type Interval, readInterval } from '#schemas/interval.ts';
import { defaultLateUsage, type LateUsagePolicy, lateUsagePolicies } from '#schemas/late-usage.ts';
import { type Amount, formatAmount, isWholeMinorUnits, zeroAmount } from '#schemas/money.ts';
import { type ProrationPolicy, prorationPolicies } from '#schemas/proration.ts';

/** The sum of all lines of a billing period of a subscription is brought to it by a line of this name. */
type PeriodBound = {
  readonly name: string;
  /** In the plan's own currency. */
  readonly amount: Amount;
  /** In each of the others, in the order of their codes. */
  readonly currencyOptions: ReadonlyMap<Currency, Amount>;
};
export type PeriodBoundJson = {
  readonly name: string;
  readonly amount: string;
  readonly currency_options: Readonly<Record<string, string>>;
};

export type GeneralTerms = {
  /** How long a subscription lasts at least. */
  readonly minimumTerm: Interval | null;
  readonly minimumCommitment: PeriodBound | null;
  readonly spendCap: PeriodBound | null;
  /** How what is of a whole billing period is charged for a part of one. */
  readonly proration: ProrationPolicy;
  /** What becomes of usage that comes after its billing period was billed. */
  readonly lateUsage: LateUsagePolicy;
  readonly entitlements: readonly Entitlement[];
  /** Null of a plan that is none. */
  readonly addOn: AddOn | null;
};
export type GeneralTermsJson = {
  readonly minimum_term: Interval | null;
  readonly minimum_commitment: PeriodBoundJson | null;
  readonly spend_cap: PeriodBoundJson | null;
  readonly proration: ProrationPolicy;
  readonly late_usage: LateUsagePolicy;
  readonly entitlements: readonly EntitlementJson[];
  readonly add_on: AddOnJson | null;
};

export const generalTermNames = [
  'minimum_term',
  'minimum_commitment',
  'spend_cap',
  'proration',
  'late_usage',
  'entitlements',
  'add_on',
] as const;

/** Of a version from before there could be any. */
export const noGeneralTerms: GeneralTermsJson = {
  minimum_term: null,
  minimum_commitment: null,
  spend_cap: null,
  proration: 'none',
  late_usage: defaultLateUsage,
  entitlements: [],
  add_on: null,
};

/** That of a version as it is stored. */
export const prorationIn = (terms: Partial<GeneralTermsJson> | null): ProrationPolicy =>
  terms?.proration ?? noGeneralTerms.proration;

export const defaultBoundNames = { minimum_commitment: 'Minimum commitment', spend_cap: 'Spend cap' } as const;
type BoundName = keyof typeof defaultBoundNames;

/** What the charges are priced in; `others` is undefined where that can't be told. */
export type PricedIn = {
  readonly own: Currency | undefined;
  readonly others: readonly Currency[] | undefined;
};

export const readGeneralTerms = (
  object: JsonObject,
  kind: PlanKind,
  priced: PricedIn,
  faults: Fault[],
): GeneralTerms | undefined => {
  const minimumTerm = readMinimumTerm(object, faults);
  const minimumCommitment = readBound(object, 'minimum_commitment', priced, faults);
  const spendCap = readBound(object, 'spend_cap', priced, faults);
  const proration = readProration(object, faults);
  const lateUsage = readLateUsage(object, faults);
  const entitlements = readEntitlements(object, faults);
  const addOn = readAddOn(object, kind, faults);
  if (minimumTerm === undefined || minimumCommitment === undefined || spendCap === undefined) return undefined;
  if (!proration || !lateUsage || !entitlements || addOn === undefined) return undefined;
  addCapsUnderMinimum(minimumCommitment, spendCap, faults);
  return { minimumTerm, minimumCommitment, spendCap, proration, lateUsage, entitlements, addOn };
};

const readMinimumTerm = (object: JsonObject, faults: Fault[]): Interval | null | undefined => {
  const given = ownValue(object, 'minimum_term') ?? null;
  return given === null ? null : readInterval(given, 'minimum_term', faults);
};

/** Of new terms that do not say. */
export const defaultProration: ProrationPolicy = 'time';

const readProration = (object: JsonObject, faults: Fault[]): ProrationPolicy | undefined => {
  const given = ownValue(object, 'proration') ?? defaultProration;
  const proration = prorationPolicies.find((policy) => policy === given);
  if (proration === undefined)
    faults.push({
      field: 'proration',
      code: 'not_allowed',
      message: `must be one of ${prorationPolicies.join(', ')}`,
    });
  return proration;
};

const readLateUsage = (object: JsonObject, faults: Fault[]): LateUsagePolicy | undefined => {
  const given = ownValue(object, 'late_usage') ?? defaultLateUsage;
  const lateUsage = lateUsagePolicies.find((policy) => policy === given);
  if (lateUsage === undefined) {
    const message = `must be one of ${lateUsagePolicies.join(', ')}`;
    faults.push({ field: 'late_usage', code: 'not_allowed', message });
  }
  return lateUsage;
};

/** Null where there is none, undefined with a fault. */
const readBound = (
  object: JsonObject,
  boundName: BoundName,
  priced: PricedIn,
  faults: Fault[],
): PeriodBound | null | undefined => {
  const given = ownValue(object, boundName) ?? null;
  if (given === null) return null;
  const bound = readObject(given, boundName, ['name', 'amount', 'currency_options'], faults);
  if (!bound) return undefined;
  const name =
    ownValue(bound, 'name') === undefined ? defaultBoundNames[boundName] : readName(bound, boundName, faults);
  const amount = readMoney(bound, 'amount', boundName, priced.own, faults);
  const currencyOptions = readOptions(bound, boundName, priced, faults);
  return name === undefined || amount === undefined || !currencyOptions ? undefined : { name, amount, currencyOptions };
};

const readMoney = (
  object: JsonObject,
  name: string,
  parent: string,
  currency: Currency | undefined,
  faults: Fault[],
): Amount | undefined => {
  const amount = readAmount(object, name, parent, faults);
  if (amount === undefined || currency === undefined || isWholeMinorUnits(amount, currency)) return amount;
  faults.push({
    field: fieldOf(parent, name),
    code: 'too_precise',
    message: `must have at most ${minorUnitsOf(currency)} digits after the point, as amounts in ${currency} are printed`,
  });
  return undefined;
};

const readOptions = (
  bound: JsonObject,
  parent: string,
  { own, others }: PricedIn,
  faults: Fault[],
): PeriodBound['currencyOptions'] | undefined => {
  const given = ownValue(bound, 'currency_options');
  const field = fieldOf(parent, 'currency_options');
  const object = given === undefined ? {} : asObject(given, field, faults);
  if (!object) return undefined;
  const refuse = (code: string, faultCode: string, message: string) =>
    faults.push({ field: fieldOf(field, code.slice(0, 64)), code: faultCode, message });
  const options = new Map<Currency, Amount>();
  const codes = Object.keys(object).toSorted();
  if (codes.length > currencyOptionsMax) {
    const message = `must have at most ${currencyOptionsMax} currencies`;
    faults.push({ field, code: 'wrong_length', message });
    return undefined;
  }
  for (const code of codes) {
    if (!isCurrency(code)) refuse(code, 'not_allowed', 'is not an active ISO 4217 currency with a minor unit');
    else if (code === own) refuse(code, 'not_allowed', `is the plan's own currency: its amount is ${parent}.amount`);
    else if (others && !others.includes(code))
      refuse(code, 'not_allowed', `no charge of the plan has a price in ${code}`);
    const amount = isCurrency(code) ? readMoney(object, code, field, code, faults) : undefined;
    if (isCurrency(code) && amount !== undefined) options.set(code, amount);
  }
  for (const code of others ?? [])
    if (!codes.includes(code)) refuse(code, 'missing', `must be an amount: the charges have prices in ${code}`);
  return options;
};

const addCapsUnderMinimum = (minimum: PeriodBound | null, cap: PeriodBound | null, faults: Fault[]): void => {
  if (!minimum || !cap) return;
  const message = 'must not be less than the minimum commitment';
  if (cap.amount < minimum.amount) faults.push({ field: 'spend_cap.amount', code: 'below_minimum', message });
  for (const [currency, amount] of cap.currencyOptions)
    if (amount < (minimum.currencyOptions.get(currency) ?? zeroAmount))
      faults.push({ field: `spend_cap.currency_options.${currency}`, code: 'below_minimum', message });
};

const boundToJson = (bound: PeriodBound | null): PeriodBoundJson | null =>
  bound && {
    name: bound.name,
    amount: formatAmount(bound.amount),
    currency_options: Object.fromEntries(
      [...bound.currencyOptions].map(([currency, amount]) => [currency, formatAmount(amount)]),
    ),
  };

export const generalTermsToJson = (terms: GeneralTerms): GeneralTermsJson => ({
  minimum_term: terms.minimumTerm,
  minimum_commitment: boundToJson(terms.minimumCommitment),
  spend_cap: boundToJson(terms.spendCap),
  proration: terms.proration,
  late_usage: terms.lateUsage,
  entitlements: terms.entitlements.map(entitlementToJson),
  add_on: addOnToJson(terms.addOn),
});
