/**
 * Units of credits, and what they are worth: of a unit some rows by time, each in a currency or in one other unit,
 * which is worth something itself. A chain of units ends at a currency. Pure.
 */
import { isCurrency } from '#schemas/currency.ts';
import { type Fault, fieldOf, type JsonObject, readText, type TextRule } from '#schemas/fault.ts';
import { type Amount, formatAmount, multiplyAmounts } from '#schemas/money.ts';
import { newNameFault } from '#schemas/names.ts';
import type { Instant } from '#schemas/period.ts';
import { creditDigits } from '#schemas/price/credits.ts';
import { oneQuantity } from '#schemas/quantity.ts';

/** In either case, as units are named like currencies; none has the name of one. */
export const unitCodePattern = '^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$';
export const unitCodeRule: TextRule = {
  pattern: new RegExp(unitCodePattern, 'u'),
  about: '1 to 64 of A-Z, a-z, 0-9, "_", "." and "-", beginning with a letter or digit',
};

/** What is wrong with the code of a unit that is made now. */
export const unitCodeFaults = (code: string): Fault[] => {
  const fault = newNameFault(code, 'code');
  if (fault) return [fault];
  return isCurrency(code) ? [{ field: 'code', code: 'not_allowed', message: 'is the code of a currency' }] : [];
};

/** `credit_unit` of a charge; null where its amounts are money. */
export const readUnitOfCharge = (charge: JsonObject, parent: string, faults: Fault[]): string | null | undefined => {
  const value = Object.hasOwn(charge, 'credit_unit') ? charge.credit_unit : undefined;
  if (value === undefined || value === null) return null;
  const code = readText(charge, 'credit_unit', parent, unitCodeRule, faults);
  if (code === undefined || !isCurrency(code)) return code;
  faults.push({
    field: fieldOf(parent, 'credit_unit'),
    code: 'not_allowed',
    message: 'is a currency: leave it out, and the price is in the currency of the plan',
  });
  return undefined;
};

/** What one credit of a unit is worth from some instant on. */
export type CreditRate = {
  readonly id: string;
  /** Of one instant the highest counts. */
  readonly number: number;
  readonly effectiveFrom: Instant;
  /** A currency, or the code of another unit. */
  readonly unit: string;
  readonly amount: Amount;
};

/** How many rates stand between a unit and a currency at most. */
export const chainMax = 4;

type ByTime = { readonly number: number; readonly effectiveFrom: Instant };

/** In the order in which rows take each other's place. */
export const byTime = <Row extends ByTime>(rows: readonly Row[]): readonly Row[] =>
  rows.toSorted((a, b) => a.effectiveFrom - b.effectiveFrom || a.number - b.number);

/** The row in force at an instant, of rows in the order of `byTime`. */
export const inForce = <Row extends ByTime>(rows: readonly Row[], at: Instant): Row | undefined =>
  rows.findLast(({ effectiveFrom }) => effectiveFrom <= at);

/** The same, and before the first row the first: of several that begin with it, the one that counts then. */
export const inForceOrFirst = <Row extends ByTime>(rows: readonly Row[], at: Instant): Row | undefined =>
  inForce(rows, Math.max(at, rows[0]?.effectiveFrom ?? at));

type PickRate = (rows: readonly CreditRate[], at: Instant) => CreditRate | undefined;
/** By the code of the unit, in the order of `byTime`. */
export type RatesByUnit = ReadonlyMap<string, readonly CreditRate[]>;

/**
 * The rates from a unit to a currency at an instant: its own rate into the currency, and where it has none the chain of
 * the unit that it is worth some of. Undefined where no chain ends there.
 */
export const chainTo = (
  unit: string,
  currency: string,
  at: Instant,
  rates: RatesByUnit,
  pick: PickRate = inForce,
  lengthMax = chainMax,
): readonly CreditRate[] | undefined => {
  const rows = lengthMax > 0 ? (rates.get(unit) ?? []) : [];
  const own = pick(
    rows.filter((rate) => rate.unit === currency),
    at,
  );
  if (own) return [own];
  const via = pick(
    rows.filter((rate) => !isCurrency(rate.unit)),
    at,
  );
  const rest = via && chainTo(via.unit, currency, at, rates, pick, lengthMax - 1);
  return via && rest && [via, ...rest];
};

/** What one credit comes to over a chain of rates. */
export const worthOf = (chain: readonly Pick<CreditRate, 'amount'>[]): Amount =>
  chain.reduce((worth, { amount }) => multiplyAmounts(worth, amount), oneQuantity as bigint as Amount);

/** How long the rates between two units are at most, in digits. */
export type Link = { readonly unit: string; readonly integerDigits: number; readonly decimals: number };

export const linkOf = (unit: string, amount: Amount): Link => {
  const [integer = '', fraction = ''] = formatAmount(amount).split('.');
  return { unit, integerDigits: integer === '0' ? 0 : integer.length, decimals: fraction.length };
};

type Chain = { readonly units: readonly string[]; readonly integerDigits: number; readonly decimals: number };

/** The longest of each from a unit on: of units, of digits. */
const longest = (unit: string, links: ReadonlyMap<string, readonly Link[]>, seen: readonly string[] = []): Chain => {
  const chains = (links.get(unit) ?? []).map((link): Chain => {
    const rest: Chain =
      isCurrency(link.unit) || seen.includes(link.unit)
        ? { units: [link.unit], integerDigits: 0, decimals: 0 }
        : longest(link.unit, links, [...seen, unit]);
    return {
      units: [unit, ...rest.units],
      integerDigits: link.integerDigits + rest.integerDigits,
      decimals: link.decimals + rest.decimals,
    };
  });
  const most = (of: (chain: Chain) => number): number => Math.max(0, ...chains.map(of));
  const units = chains.find((chain) => chain.units.length === most((one) => one.units.length))?.units ?? [unit];
  return { units, integerDigits: most((one) => one.integerDigits), decimals: most((one) => one.decimals) };
};

/** From a unit along the other units that they are worth some of, as far as it goes or until one comes again. */
const trail = (from: string, links: ReadonlyMap<string, readonly Link[]>): readonly string[] => {
  const units = [from];
  for (;;) {
    const next = links.get(units.at(-1) ?? '')?.find(({ unit }) => !isCurrency(unit))?.unit;
    if (next === undefined) return units;
    if (units.includes(next)) return [...units, next];
    units.push(next);
  }
};

/**
 * What is wrong with a rate of `unit` for those that there are; `links` are the longest rate of each unit into each
 * other and each currency. A unit is worth some of one other unit at most, so a chain has no branches. Digits are
 * counted along a chain, whatever comes of them: what is written later, of any unit of it, keeps to the same bound.
 */
export const rateFaults = (unit: string, link: Link, links: ReadonlyMap<string, readonly Link[]>): Fault[] => {
  const others = links.get(unit) ?? [];
  const known = others.find((one) => !isCurrency(one.unit));
  if (!isCurrency(link.unit) && known && known.unit !== link.unit)
    return [
      {
        field: 'unit',
        code: 'not_allowed',
        message: `must be ${known.unit}, which the unit is worth some of, or a currency: one other unit is enough`,
      },
    ];
  const same = others.find((one) => one.unit === link.unit);
  const merged: Link = {
    unit: link.unit,
    integerDigits: Math.max(link.integerDigits, same?.integerDigits ?? 0),
    decimals: Math.max(link.decimals, same?.decimals ?? 0),
  };
  const after = new Map([...links, [unit, [...others.filter((one) => one !== same), merged]]]);
  const circle = trail(unit, after);
  if (circle.at(-1) === unit && circle.length > 1)
    return [{ field: 'unit', code: 'circular', message: `makes a circle: ${circle.join(' -> ')}` }];
  const faults: Fault[] = [];
  for (const from of after.keys()) {
    const chain = longest(from, after);
    if (chain.units.length - 1 > chainMax)
      faults.push({
        field: 'unit',
        code: 'out_of_range',
        message: `makes a chain of more than ${chainMax} rates: ${chain.units.join(' -> ')}`,
      });
    else if (chain.decimals > creditDigits.decimals || chain.integerDigits > creditDigits.integerDigits)
      faults.push({
        field: 'amount',
        code: 'not_a_decimal',
        message: `must leave the rates from ${from} on at most ${creditDigits.integerDigits} digits before and ${creditDigits.decimals} after the point in all, not ${chain.integerDigits} and ${chain.decimals}`,
      });
    if (faults.length > 0) return faults;
  }
  return faults;
};
