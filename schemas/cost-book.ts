/** Books of costs: what a unit costs by one to three dimensions, in versions by time that never change. Pure. */
import type { Currency } from '#schemas/currency.ts';
import { type Fault, fieldOf, type JsonObject, readAmount, readArray, readObject } from '#schemas/fault.ts';
import { type Amount, fitsDigits, formatAmount, zeroAmount } from '#schemas/money.ts';
import type { Instant } from '#schemas/period.ts';
import { addMatchFaults, type Match, readMatch, resolvedCellsMax } from '#schemas/price/matrix.ts';

export const entriesMax = resolvedCellsMax;
/**
 * Of all versions of a book that begin within so many days of each other, before or after: a billing period is priced
 * by all that begin in it, at once.
 */
export const entriesNear = { days: 31, max: 200_000 };
/** What the matches of a version come to as they travel to the store. */
const matchBytesMax = 800_000;

/** With the decimals of a factor they are those of a price. */
const costDigits = { integerDigits: 10, decimals: 10 };
const costAbout = 'at most 10 digits before and 10 after the point, so that the product with a factor is exact';

export type CostEntry = { readonly match: Match; readonly unitCost: Amount };

export type CostEntryJson = { readonly match: Match; readonly unit_cost: string };

/** What a version of a book says. */
export type Costs = { readonly entries: readonly CostEntry[]; readonly defaultCost: Amount };

export type CostBookVersion = Costs & {
  readonly id: string;
  /** Of one instant the highest counts. */
  readonly number: number;
  readonly effectiveFrom: Instant;
};

/** A book with those of its versions that matter, in the order of `byTime`. */
export type CostBook = {
  readonly code: string;
  readonly currency: Currency;
  readonly dimensions: readonly string[];
  readonly versions: readonly CostBookVersion[];
};

const readCost = (
  object: JsonObject,
  name: string,
  parent: string,
  faults: Fault[],
  fallback?: Amount,
): Amount | undefined => {
  const cost = readAmount(object, name, parent, faults, fallback);
  if (cost === undefined || fitsDigits(cost, costDigits)) return cost;
  faults.push({ field: fieldOf(parent, name), code: 'not_a_decimal', message: `must have ${costAbout}` });
  return undefined;
};

const readEntry = (json: unknown, field: string, faults: Fault[]): CostEntry | undefined => {
  const object = readObject(json, field, ['match', 'unit_cost'], faults);
  if (!object) return undefined;
  const match = readMatch(object, field, faults);
  const unitCost = readCost(object, 'unit_cost', field, faults);
  return match && unitCost !== undefined ? { match, unitCost } : undefined;
};

/** What is wrong stands in `faults`, and a value that comes with faults must not be used. */
export const readCosts = (json: JsonObject, dimensions: readonly string[], faults: Fault[]): Costs | undefined => {
  const items = readArray(json, 'entries', '', entriesMax, faults);
  const defaultCost = readCost(json, 'default_cost', '', faults, zeroAmount);
  const entries = (items ?? []).map((item, index) => readEntry(item, `entries[${index}]`, faults));
  if (!items || defaultCost === undefined || entries.includes(undefined)) return undefined;
  const costs = { entries: entries as CostEntry[], defaultCost };
  const matches = costs.entries.map(({ match }) => match);
  addMatchFaults(dimensions, matches, 'entries', matchBytesMax, faults);
  return costs;
};

export const entryToJson = ({ match, unitCost }: CostEntry): CostEntryJson => ({
  match,
  unit_cost: formatAmount(unitCost),
});

/** As they are stored, whose text never changes. */
export const costsFromJson = (entries: readonly CostEntryJson[], defaultCost: string): Costs => {
  const faults: Fault[] = [];
  const read = entries.map((entry, index) => readEntry(entry, `entries[${index}]`, faults));
  const cost = readCost({ default_cost: defaultCost }, 'default_cost', '', faults);
  if (faults.length > 0 || cost === undefined)
    throw new TypeError(`costs are stored that can't be read: ${JSON.stringify(faults[0])}`);
  return { entries: read as CostEntry[], defaultCost: cost };
};
