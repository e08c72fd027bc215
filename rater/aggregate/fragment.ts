/** What an aggregation adds to a grouped query. */

/** A fraction at 10^-12: the quantity is `numerator / denominator` of that unit. The denominator is positive. */
export type Ratio = { readonly numerator: bigint; readonly denominator: bigint };

/** The span of a group in milliseconds, for what is weighted by time. */
type Span = { readonly start: number; readonly end: number };

/** The texts of a group's results by their names; ClickHouse's NULL is null. */
export type Results = Readonly<Record<string, string | null>>;

export type Fragment = {
  /**
   * Whole numbers over the rows of one group, by a name of the fragment's own; all of them texts. What would have to be
   * divided leaves ClickHouse undivided. The rows have the columns `counted`, `value` (NULL where `counted` is 0),
   * `occurred_at`, `idempotency_key`, under the names that are given.
   */
  readonly results: Readonly<Record<string, string>>;
  /** Null where there is no quantity, as there is no value. */
  readonly quantityOf: (results: Results, span: Span) => Ratio | null;
  /** The results of two groups that share no row, as those of all their rows; absent where it takes the rows. */
  readonly merge?: (a: Results, b: Results) => Results;
};

/** Names of the columns of one meter. */
export type Columns = { readonly counted: string; readonly value: string };

export const integerOf = (text: string | null | undefined): bigint => BigInt(text ?? '0');

/** Of sums and counts. */
export const addResults = (a: Results, b: Results): Results =>
  Object.fromEntries(Object.keys(a).map((name) => [name, (integerOf(a[name]) + integerOf(b[name])).toString()]));

export const whole = (numerator: bigint): Ratio => ({ numerator, denominator: 1n });

/** Counts have no decimals, so they are brought to 10^-12. */
export const unitsPerOne = 10n ** 12n;
