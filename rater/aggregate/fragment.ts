/** What one meter adds to a grouped query. `name` is ours and unique within the query; everything of the caller goes through parameters. */
export type Fragment = {
  /** Expressions that the query over single events has to select, under these names. */
  readonly columns: readonly { readonly name: string; readonly sql: string }[];
  /** The quantity as decimal text, over the rows of one group. */
  readonly quantity: string;
  /** How many events of the meter had no usable value. They are reported; none of them is silently 0. */
  readonly unmeasured: string;
  readonly params: Readonly<Record<string, string>>;
};

/** Decimal text that is taken as a value: up to 40 digits, 12 decimals. ClickHouse would silently cut off more decimals than its type has. */
export const valuePattern = '^-?[0-9]{1,40}([.][0-9]{1,12})?$';
