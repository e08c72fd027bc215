/**
 * Which stored rows stand at a watermark. A row falls when its own void is at or under the watermark: a later twin by
 * its digest and sequence, an amended event by its digest alone. So the same watermark gives the same rows for ever,
 * whatever is voided later.
 */

/**
 * Of what the reading statement is about; each narrows the voids that are looked at, by the parameter of that name, and
 * must hold for the rows that are read.
 */
export type StandingScope = {
  /** `events`, an array of texts. */
  readonly events?: boolean;
  /** `customers`, an array of texts. */
  readonly customers?: boolean;
  /** `start` and `end`, in milliseconds; whole days, or what is wider than the rows that are read. */
  readonly start?: boolean;
  readonly end?: boolean;
};

/**
 * A condition over rows of `usage_events`, which begins with AND. The statement has the parameters `tenant` and
 * `watermark`, and those of its scope. It holds before FINAL as after it: what the identity check voids of one day and
 * key are later rows, which FINAL leaves out too.
 */
export const standingCondition = ({
  events = true,
  customers = true,
  start = true,
  end = true,
}: StandingScope = {}): string => {
  const voids = [
    'tenant = {tenant:String}',
    events && 'event IN {events:Array(String)}',
    customers && 'customer IN {customers:Array(String)}',
    start && "occurred_at >= fromUnixTimestamp64Milli({start:Int64}, 'UTC')",
    end && "occurred_at < fromUnixTimestamp64Milli({end:Int64}, 'UTC')",
    'void_sequence <= {watermark:UInt64}',
  ].filter((part) => part !== false);
  const from = `FROM usage_voids WHERE ${voids.join(' AND ')}`;
  return `AND (key_digest, stream_sequence) NOT IN (SELECT row_digest, row_sequence ${from} AND row_sequence > 0)
    AND (toDate(occurred_at), key_digest) NOT IN (SELECT toDate(occurred_at), row_digest ${from} AND row_sequence = 0)`;
};
