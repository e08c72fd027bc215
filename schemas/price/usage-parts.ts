/**
 * What a price asks of usage beyond the one quantity of its meter. The store answers it in whole groups: no event is
 * priced one by one in this program.
 */
import type { Amount } from '#schemas/money.ts';

/**
 * Each event falls into the first cell whose values it has, in the order of the list, or into none. A value of null
 * takes any.
 */
export type Cells = {
  /** Properties of the event, which its meter can be grouped by. */
  readonly dimensions: readonly string[];
  readonly cells: readonly (readonly (string | null)[])[];
};

/**
 * What one event costs: `rate` for each one of its value, and `fixedAmount`, but at least and at most so much. The
 * first `freeEvents` of a period, by the time of usage, cost nothing.
 */
export type EventTerms = {
  readonly rate: Amount;
  readonly fixedAmount: Amount;
  readonly minimumAmount: Amount | null;
  readonly maximumAmount: Amount | null;
  readonly freeEvents: bigint;
};

export type UsageParts = {
  readonly cells?: Cells;
  readonly events?: EventTerms;
  /** A property of the event that is an amount of money. */
  readonly amountProperty?: string;
};

/** The names of parts. A cell has its place in the order in which cells are tried, from 1; what none takes has 0. */
export const partNames = {
  cell: (place: number): string => String(place),
  noCell: '0',
  /** The sum of what events say that they cost. */
  amounts: 'amounts',
  /** Events with a price of their own, by what decided it. */
  freeEvents: 'free',
  belowZero: 'below_zero',
  atMinimum: 'minimum',
  atMaximum: 'maximum',
  atRate: 'rate',
} as const;

/** What was measured of a part of the events: as text, like quantities. `partNames` says which. */
export type MeasuredPart = { readonly part: string; readonly quantity: string; readonly events: string };
