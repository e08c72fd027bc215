/** A meter turns events into a quantity: which events, and what of them. */
export const aggregations = ['count', 'sum'] as const;
export type Aggregation = (typeof aggregations)[number];

/**
 * A dotted path without empty parts. Quotes, backslashes and backticks are refused: ClickHouse does not read them back from a parameter that is an
 * identifier, so such a meter would find no value in any event.
 */
export const propertyPattern = '^[^\\u0000-\\u001f\\u007f.\'"`\\\\]+(\\.[^\\u0000-\\u001f\\u007f.\'"`\\\\]+)*$';

export type Meter = {
  readonly code: string;
  /** The events that are measured. */
  readonly event: string;
  readonly aggregation: Aggregation;
  /** Dotted path of the property that is summed; null for `count`. */
  readonly property: string | null;
};
