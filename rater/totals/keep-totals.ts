/**
 * The use case that keeps totals: days of customers that have changed and rest are made anew for each meter version.
 * Nothing waits for it, and nothing depends on it but how long an answer takes: a day that it has not made is read from
 * its events. The order of effects:
 *
 *   1. ask up to which sequence everything is stored and checked;
 *   2. ask the store who has usage and what of it has changed since the look before, and which meter versions
 *      these have; a new version is looked at whole;
 *   3. write down the days of a version that are due, each with the state that it is in;
 *   4. make their totals from events up to that sequence, piece by piece, each beside the state that it was made of;
 *   5. of a version that is looked at whole, say how far it has come, until each day that is over has been made once.
 *
 * A crash anywhere leaves days due, and two processes at once make the same rows.
 */
import type { MeterVersion } from '#schemas/stored-meter.ts';
import type { DuePiece, DueWanted } from './make-totals.ts';

/** A meter version of an organization. */
export type KeptMeter = { readonly tenant: string; readonly meter: MeterVersion };

/** Of a version that is looked at whole. */
export type TotalsProgress = {
  /** Days of customers that had usage when it began, and so many of them have totals. */
  readonly days: number;
  readonly daysMade: number;
  readonly watermark: bigint;
  readonly isFilled: boolean;
};

export type DaysCount = Pick<TotalsProgress, 'days' | 'daysMade'> & {
  /** Days that are over and have no totals at all: they have not rested yet, or nobody has come to them. */
  readonly daysMissing: number;
};

export type KeepPorts = {
  /** Everything up to it is stored and checked. */
  readonly readChecked: () => Promise<bigint>;
  /** Versions that are asked for: the newest of each meter, and those that plans are bound to. */
  readonly readMeters: (tenants: readonly string[]) => Promise<readonly KeptMeter[]>;
  /** The store's time, who has usage, and what has changed since an instant of it; without one, nothing. */
  readonly readChanged: (sinceMs: number | undefined) => Promise<Changed>;
  /** Writes down what is due; resolves with its pieces, in order. */
  readonly writeDue: (wanted: DueWanted) => Promise<readonly DuePiece[]>;
  readonly make: (of: KeptMeter & { readonly watermark: bigint }, batch: string, piece: DuePiece) => Promise<void>;
  readonly forget: (batch: string) => Promise<void>;
  readonly countDays: (of: KeptMeter) => Promise<DaysCount>;
  /** Whether it was told once that all is made: it stays so. */
  readonly isFilled: (of: KeptMeter) => Promise<boolean>;
  readonly writeProgress: (of: KeptMeter, progress: TotalsProgress) => Promise<void>;
  /** A name that no other batch has. */
  readonly newBatch: () => string;
  readonly report: {
    /** Milliseconds that it took. */
    readonly made: (piece: DuePiece, tookMs: number) => void;
    /** Meter versions that have days to be made. */
    readonly waiting: (versions: number) => void;
    /** Days that are left of the versions that are looked at whole. */
    readonly filling: (days: number) => void;
  };
  readonly stopwatch: () => () => number;
};

export type Changed = {
  readonly nowMs: number;
  readonly tenants: readonly string[];
  readonly events: readonly { readonly tenant: string; readonly event: string }[];
};

export type KeepLimits = Pick<DueWanted, 'quietMs' | 'daysMax' | 'eventsMax'>;

/** Days of a version that are written down and still to be made. */
type Pending = {
  readonly of: KeptMeter & { readonly watermark: bigint };
  readonly batch: string;
  readonly pieces: readonly DuePiece[];
};

/** What one look found to be done. */
type Look = { readonly nowMs: number; readonly watermark: bigint; readonly meters: KeptMeter[] };

/** Of a piece that nothing is made of yet. */
const unchecked = 0;

/** What rests is counted so often at most: a count reads all days of a version. */
const countEveryMs = 10_000;

/** A change bears the time at which its rows were written, and is seen once their block is whole: so much later. */
const seenWithinMs = 60_000;

const eventOf = (tenant: string, event: string): string => JSON.stringify([tenant, event]);

/**
 * Does one piece of what is due; resolves with in how many milliseconds it may go on, or false where there is nothing.
 * It rests for as long as it worked, so that it never takes more than half of what one statement may have.
 */
export const createKeepTotals = (limits: KeepLimits, ports: KeepPorts): (() => Promise<number | false>) => {
  /** By meter version: up to which instant of the store its days were looked at and made. */
  const lookedAt = new Map<string, number>();
  /** Those that are looked at whole, by how far they have come. */
  const fillings = new Map<string, DaysCount & { readonly restedAtMs?: number }>();
  let before: number | undefined;
  // What runs may have been left alone for so long.
  const lookBackMs = seenWithinMs + Math.max(limits.quietMs.over, limits.quietMs.running);
  let look: Look | undefined;
  let pending: Pending | undefined;

  const reportFilling = (): void =>
    ports.report.filling([...fillings.values()].reduce((sum, one) => sum + one.days - one.daysMade, 0));

  /** Steps 1 and 2. */
  const lookAround = async (): Promise<Look> => {
    const watermark = await ports.readChecked();
    const { nowMs, tenants, events } = await ports.readChanged(before);
    const meters = await ports.readMeters(tenants);
    before = nowMs - lookBackMs;
    const changed = new Set(events.map(({ tenant, event }) => eventOf(tenant, event)));
    const known = new Set(meters.map(({ meter }) => meter.versionId));
    for (const versions of [lookedAt, fillings])
      for (const version of versions.keys()) if (!known.has(version)) versions.delete(version);
    reportFilling();
    return {
      nowMs,
      watermark,
      meters: meters.filter(
        ({ tenant, meter: { versionId, event } }) =>
          !lookedAt.has(versionId) || fillings.has(versionId) || changed.has(eventOf(tenant, event)),
      ),
    };
  };

  const addMade = (versionId: string, made: number): void => {
    const filling = fillings.get(versionId);
    if (!filling) return;
    // Days that have come since are made as well.
    const { days, daysMade, daysMissing } = filling;
    fillings.set(versionId, { days, daysMade: Math.min(days, daysMade + made), daysMissing });
  };

  /** Step 5. */
  const tell = async (of: KeptMeter, watermark: bigint, isFilled = false): Promise<void> => {
    const filling = fillings.get(of.meter.versionId);
    if (!filling) return;
    const { days, daysMade } = filling;
    await ports.writeProgress(of, { days, daysMade, watermark, isFilled });
    if (isFilled) fillings.delete(of.meter.versionId);
    reportFilling();
  };

  /** Nothing is due now: it is filled unless days still have to rest. */
  const tellRest = async (of: KeptMeter, { nowMs, watermark }: Look): Promise<void> => {
    const before = fillings.get(of.meter.versionId);
    if (!before || (before.restedAtMs !== undefined && nowMs - before.restedAtMs < countEveryMs)) return;
    const filling = await ports.countDays(of);
    fillings.set(of.meter.versionId, { ...filling, restedAtMs: nowMs });
    await tell(of, watermark, filling.daysMissing === 0);
  };

  /** Step 3. */
  const nextPending = async (now: Look): Promise<Pending | undefined> => {
    const { nowMs, watermark, meters } = now;
    const kept = meters.at(-1) as KeptMeter;
    const { versionId, event } = kept.meter;
    if (!lookedAt.has(versionId) && !fillings.has(versionId) && !(await ports.isFilled(kept))) {
      fillings.set(versionId, await ports.countDays(kept));
      await tell(kept, watermark);
    }
    const batch = ports.newBatch();
    const due = await ports.writeDue({
      ...limits,
      tenant: kept.tenant,
      event,
      meterVersion: versionId,
      batch,
      watermark,
      changedSinceMs: lookedAt.get(versionId),
    });
    const pieces = due.filter(({ piece }) => piece !== unchecked);
    if (pieces.length > 0) return { of: { ...kept, watermark }, batch, pieces };
    meters.pop();
    if (due.length === 0) {
      await tellRest(kept, now);
      lookedAt.set(versionId, nowMs - lookBackMs);
    } else {
      // Days that are stored and not checked yet are looked for again.
      lookedAt.delete(versionId);
      await ports.forget(batch);
    }
    return undefined;
  };

  /** Step 4, of one piece. */
  const makeNext = async ({ of, batch, pieces: [next, ...others] }: Pending): Promise<number> => {
    const elapsed = ports.stopwatch();
    try {
      if (next) {
        await ports.make(of, batch, next);
        ports.report.made(next, elapsed());
        addMade(of.meter.versionId, next.days);
      }
      if (others.length === 0) {
        await tell(of, of.watermark);
        await ports.forget(batch);
      }
    } catch (error) {
      // The other versions go on: this one is looked at whole by the next look.
      look?.meters.pop();
      lookedAt.delete(of.meter.versionId);
      throw error;
    }
    if (others.length > 0) pending = { of, batch, pieces: others };
    return elapsed();
  };

  return async () => {
    if (pending) {
      const making = pending;
      pending = undefined;
      return await makeNext(making);
    }
    look ??= await lookAround();
    ports.report.waiting(look.meters.length);
    if (look.meters.length === 0) {
      look = undefined;
      return false;
    }
    pending = await nextPending(look);
    return 0;
  };
};
