/**
 * How claims lie in Redis: what the scripts and their readers share.
 *
 *   `<prefix><window>:head`         numbers of the window, below (52 bytes), and its epochs that ended (24 bytes each)
 *   `<prefix><window>:keys`         a hash of buckets: entries, oldest first, by the number of the bucket (4 bytes)
 *   `<prefix><window>:states:<n>`   states of batches, 65,536 in a text
 *   `<prefix><window>:taken:<n>`    of claims that were taken over in an epoch: the time that their first try assigned
 *
 * An epoch is named by the number of its first batch.
 */

export type ClaimsLayout = {
  /** A power of two, at least as many as there are implied places. */
  readonly bucketsMin: number;
  /** Entries of a bucket, on average: there are as many buckets as this takes. */
  readonly bucketKeysMean: number;
};

/**
 * A bucket costs 54 bytes beside its entries, and each entry is moved through Lua when a neighbour comes. Up to 5
 * million keys there are more buckets than that takes, 28 MB of them, and none has to be split.
 */
export const claimsLayout: ClaimsLayout = { bucketsMin: 524_288, bucketKeysMean: 10 };

/** The first 2 bytes of a digest stand in no entry: they follow from the number of its bucket. */
export const impliedPlaces = 65_536;

/** Of a claim: 8 bytes of the key's digest, 4 of the payload's fingerprint, 5 of the batch's number. */
export const entryBytes = 17;

/** Of a batch: its state. So many stand in one text. */
export const stateBytes = 13;
export const statesPerText = 65_536;

/** Keys are forgotten by the eighth of a window. */
export const epochsPerWindow = 8;

/** What they take of Redis, at most; measured (`npm run bench -- --only claims-memory`). */
export const bytesPer = { entry: 19, bucket: 54, state: 14 } as const;

/** The numbers of a head, of which the first are all keys that lie there, those that count, and the buckets. */
export const headFormat = '>I6I6I4I6I6I6I6I6I6';
export const headBytes = 52;
export const epochBytes = 24;

export type ClaimsHeld = {
  /** Forgotten ones included that still lie in a bucket. */
  readonly keys: number;
  /** Estimated from what a key, a bucket and a batch take. */
  readonly bytes: number;
  /** The receipt of the oldest key that counts lies at most so far back; 0 where there is none. */
  readonly reachSeconds: number;
};

/** What a head says at a moment; `latestBatch` is the number of the last batch. */
export const heldOf = (head: Buffer | null, latestBatch: number, nowMs: number): ClaimsHeld => {
  if (head === null) return { keys: 0, bytes: 0, reachSeconds: 0 };
  const [keys, buckets, oldest] = [head.readUIntBE(0, 6), head.readUInt32BE(12), head.readUIntBE(22, 6)];
  const [since, oldestSince] = [head.readUIntBE(34, 6), head.length > headBytes ? head.readUIntBE(headBytes, 6) : 0];
  const { entry, bucket, state } = bytesPer;
  return {
    keys,
    bytes: keys * entry + Math.min(keys, buckets) * bucket + Math.max(0, latestBatch - oldest) * state,
    reachSeconds: Math.max(0, (nowMs - (oldestSince || since)) / 1000),
  };
};
