/** A meter turns events into a quantity: which events, and what of them. */
export const aggregations = ['count', 'sum'] as const;
export type Aggregation = (typeof aggregations)[number];

export type Meter = {
  readonly code: string;
  /** The events that are measured. */
  readonly event: string;
  readonly aggregation: Aggregation;
  /** Dotted path of the property that is summed; null for `count`. */
  readonly property: string | null;
};
