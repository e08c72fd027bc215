/**
 * The identity check: every stored event is held against all events of its key that came before it, and the later one
 * is made void. The order of effects:
 *
 *   1. ask how far the store has followed the stream;
 *   2. read the keys up to there, from where this process has checked, from the stream or the store (key-source.ts);
 *   3. rule out what is certainly new, in memory, and look the rest up exactly;
 *   4. write a void for each later twin;
 *   5. advance the checked sequence: what bills waits for it, so it never counts a twin;
 *   6. with nothing in hand, work on the generations of what is known (known-keys.ts).
 *
 * A crash anywhere in between repeats the same reads and the same rows, as they depend on nothing but what is stored.
 * Two checkers at once do the same twice.
 */
import { findTwins, type KeyDay, type Twin } from './find-twins.ts';
import type { KeyRow, KeyRows } from './key-rows.ts';
import { KnownKeys, type KnownKeysLimits, type KnownKeysPorts } from './known-keys.ts';

export type ReadKeys = { readonly rows: KeyRows; readonly upTo: number };

export type CheckPorts = Pick<KnownKeysPorts, 'clock' | 'filters'> & {
  /** The end of the stream, and up to where the store has followed it. */
  readonly readStored: () => Promise<{ readonly last: number; readonly stored: number }>;
  readonly checked: {
    /** 0 where nothing was checked yet. */
    readonly read: () => Promise<number>;
    /** Never back. */
    readonly advance: (sequence: number) => Promise<void>;
  };
  readonly keys: KnownKeysPorts['keys'] & {
    /**
     * The keys behind a sequence: all up to the one that is given back, which is `upTo` or where a batch of about
     * `rowsMax` ends.
     */
    readonly read: (after: number, upTo: number, rowsMax: number) => Promise<ReadKeys>;
    /** What is read anew must not come from where it was read before: the store has more. */
    readonly doubt: () => void;
    /** What the store has of the keys of some rows, up to a sequence. */
    readonly daysOf: (rows: readonly KeyRow[], upTo: number) => Promise<readonly KeyDay[]>;
    /** Of none, nothing. */
    readonly voidTwins: (twins: readonly Twin[]) => Promise<void>;
  };
  readonly report: {
    readonly checked: (checked: Checked) => void;
    /** A range has keys that were not seen, and is checked once more. */
    readonly again: (fromSequence: number) => void;
  };
};

export type Checked = {
  readonly events: number;
  readonly suspects: number;
  readonly twins: Readonly<Record<Twin['reason'], number>>;
  readonly upTo: number;
  /** Since the receipt of the oldest event of the batch; undefined for none. */
  readonly lagMs: number | undefined;
};

export type CheckLimits = KnownKeysLimits & { readonly rowsMax: number };

type Standing = { readonly last: number; readonly covered: number };

export type IdentityCheck = {
  /** Does one piece of what is due. Resolves with whether there was something. */
  readonly check: () => Promise<boolean>;
  readonly known: Pick<KnownKeys, 'holdings'>;
  /** The end of the stream as it was seen last, and up to where this process has checked. Undefined until then. */
  readonly standing: () => Standing | undefined;
  /** How long what is not checked yet has waited: since its receipt as far as that was read. */
  readonly waitingMs: () => number;
};

/** A range that was read and not checked to its end. */
type Batch = {
  readonly events: number;
  readonly oldestMs: number;
  readonly rows: KeyRows;
  /** Their numbers. */
  readonly suspects: readonly number[];
  readonly upTo: number;
};

/**
 * Suspects that are looked up at a time: of a backfill all are suspects, and of one key there may be a million. Two
 * texts of a key take 75 bytes with their quotes; ClickHouse takes 128 KiB in one parameter.
 */
const lookUpMax = 1_500;

export const createIdentityCheck = (limits: CheckLimits, ports: CheckPorts): IdentityCheck => {
  const known = new KnownKeys(limits, ports);
  let covered: number | undefined;
  let standing: Standing | undefined;
  // Kept over a fault of a store: its keys are known by now, and would all be suspects if they were read anew.
  let batch: Batch | undefined;
  /** Since when something waits; of what was checked last, when it was received. */
  let waitingFromMs: number | undefined;

  const load = async (): Promise<number> => {
    const checked = await ports.checked.read();
    await known.load(checked);
    return checked;
  };
  /** Steps 1 to 3, without the look-up. */
  const readBatch = async (after: number, stored: number): Promise<Batch> => {
    const { rows, upTo } = await ports.keys.read(after, stored, limits.rowsMax);
    let oldestMs = Number.POSITIVE_INFINITY;
    for (let row = 0; row < rows.count; row += 1) oldestMs = Math.min(oldestMs, rows.receivedAtMs(row));
    return { events: rows.count, oldestMs, rows, suspects: known.takeSuspects(rows), upTo };
  };
  /** Which rows of a part are twins depends on nothing but what is stored of their keys. */
  const finish = async ({ events, oldestMs, rows, suspects, upTo }: Batch): Promise<void> => {
    const twins = { twin: 0, conflict: 0 };
    for (let from = 0; from < suspects.length; from += lookUpMax) {
      const part = suspects.slice(from, from + lookUpMax).map(rows.decode);
      const found = findTwins(part, await ports.keys.daysOf(part, upTo), limits);
      await ports.keys.voidTwins(found);
      for (const { reason } of found) twins[reason] += 1;
    }
    await ports.checked.advance(upTo);
    const lagMs = events === 0 ? undefined : ports.clock.nowMs() - oldestMs;
    waitingFromMs = lagMs === undefined ? ports.clock.nowMs() : oldestMs;
    ports.report.checked({ events, suspects: suspects.length, twins, upTo, lagMs });
  };

  const check = async (): Promise<boolean> => {
    covered ??= await load();
    if (!batch) {
      const tended = await known.tend(covered);
      if (tended.againFrom !== undefined) {
        ports.report.again(tended.againFrom);
        ports.keys.doubt();
        covered = tended.againFrom;
      }
      const { last, stored } = await ports.readStored();
      // A stream that lost its end gives sequences again, to other events: these are to be checked like any.
      covered = Math.min(covered, last);
      standing = { last, covered };
      waitingFromMs = covered < last ? (waitingFromMs ?? ports.clock.nowMs()) : undefined;
      if (stored <= covered) return tended.worked;
      batch = await readBatch(covered, stored);
    }
    await finish(batch);
    covered = batch.upTo;
    batch = undefined;
    standing = { last: standing?.last ?? covered, covered };
    return true;
  };

  return {
    known,
    standing: () => standing,
    waitingMs: () => (waitingFromMs === undefined ? 0 : Math.max(0, ports.clock.nowMs() - waitingFromMs)),
    check: async () => {
      try {
        return await check();
      } catch (error) {
        // Whether something waits can't be known.
        waitingFromMs ??= ports.clock.nowMs();
        throw error;
      }
    },
  };
};
