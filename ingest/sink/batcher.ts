/** When to cut an insert: by rows, by bytes, or by the age of its oldest message. Pure: the time is an argument. */

export type BatchLimits = { readonly rowsMax: number; readonly bytesMax: number; readonly ageMsMax: number };

export type Batch<M> = { readonly messages: readonly M[]; readonly rows: number; readonly bytes: number };

export type Batcher<M> = {
  /** Adds a message, and returns the batch that has to go first where the message would overfill it. */
  readonly add: (message: M, rows: number, bytes: number, nowMs: number) => Batch<M> | undefined;
  /** The current batch if it is full or old enough, or whatever there is where `now` is true. */
  readonly take: (nowMs: number, now?: boolean) => Batch<M> | undefined;
  /** In how many milliseconds the current batch is old enough; undefined where it is empty. */
  readonly dueInMs: (nowMs: number) => number | undefined;
};

export const createBatcher = <M>(limits: BatchLimits): Batcher<M> => {
  let messages: M[] = [];
  let rows = 0;
  let bytes = 0;
  let oldestMs = 0;
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
      const due = now || rows >= limits.rowsMax || bytes >= limits.bytesMax || nowMs - oldestMs >= limits.ageMsMax;
      return due ? cut() : undefined;
    },
    dueInMs: (nowMs) => (messages.length === 0 ? undefined : Math.max(0, oldestMs + limits.ageMsMax - nowMs)),
  };
};
