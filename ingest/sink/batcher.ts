/**
 * When to cut an insert: by rows, by bytes, or by the age of its oldest message. Pure: the time is an argument.
 *
 * An insert costs the store the same again however few rows it has, so it waits for more for as long as inserts
 * take, and for half of the age that is allowed at least. So events are counted soon while the store is at
 * rest, and inserts are few while it is not. Rejected: one age for every load. Half a second of waiting is half of what
 * an event takes to be counted, and a quarter of a second costs a line at its full speed a tenth.
 */

export type BatchLimits = { readonly rowsMax: number; readonly bytesMax: number; readonly ageMsMax: number };

export type Batch<M> = { readonly messages: readonly M[]; readonly rows: number; readonly bytes: number };

export type Batcher<M> = {
  /** Adds a message, and returns the batch that has to go first where the message would overfill it. */
  readonly add: (message: M, rows: number, bytes: number, nowMs: number) => Batch<M> | undefined;
  /** The current batch if it is full or old enough, or whatever there is where `now` is true. */
  readonly take: (nowMs: number, now?: boolean) => Batch<M> | undefined;
  /** In how many milliseconds the current batch is old enough; undefined where it is empty. */
  readonly dueInMs: (nowMs: number) => number | undefined;
  /** An insert took so long. */
  readonly inserted: (tookMs: number) => void;
};

const leastAge = 0.5;
/** What one insert counts of the time that inserts take. */
const lastShare = 0.5;

export const createBatcher = <M>(limits: BatchLimits): Batcher<M> => {
  let messages: M[] = [];
  let rows = 0;
  let bytes = 0;
  let oldestMs = 0;
  let insertMs: number | undefined;
  const ageMs = (): number =>
    insertMs === undefined
      ? limits.ageMsMax
      : Math.min(limits.ageMsMax, Math.round(Math.max(leastAge * limits.ageMsMax, insertMs)));
  const cut = (): Batch<M> => {
    const batch = { messages, rows, bytes };
    messages = [];
    rows = 0;
    bytes = 0;
    return batch;
  };
  return {
    add: (message, moreRows, moreBytes, nowMs) => {
      const overfull = messages.length > 0 && (rows + moreRows > limits.rowsMax || bytes + moreBytes > limits.bytesMax);
      const batch = overfull ? cut() : undefined;
      if (messages.length === 0) oldestMs = nowMs;
      messages.push(message);
      rows += moreRows;
      bytes += moreBytes;
      return batch;
    },
    take: (nowMs, now = false) => {
      if (messages.length === 0) return undefined;
      const due = now || rows >= limits.rowsMax || bytes >= limits.bytesMax || nowMs - oldestMs >= ageMs();
      return due ? cut() : undefined;
    },
    dueInMs: (nowMs) => (messages.length === 0 ? undefined : Math.max(0, oldestMs + ageMs() - nowMs)),
    inserted: (tookMs) => {
      insertMs = insertMs === undefined ? tookMs : insertMs + lastShare * (tookMs - insertMs);
    },
  };
};
