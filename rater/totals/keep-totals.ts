/**
 * The use case that keeps totals: days of customers that have changed and rest are made anew for each meter version.
 * Nothing waits for it, and nothing depends on it but how long an answer takes: a day that it has not made is read from
 * its events. The order of effects:
 *
 *   1. ask up to which sequence everything is stored and checked, and which meter versions there are;
 *   2. ask the store which events have changed since the look before; a version that was not looked at is looked at whole;
 *   3. read the days of a version that are due, each with the state that it is in;
 *   4. make their totals from events up to that sequence, each beside the state that it was made of.
 *
 * A crash anywhere leaves days due, and two processes at once make the same rows.
 */
import type { MeterVersion } from '#schemas/stored-meter.ts';
import type { DueDay, DueWanted } from './make-totals.ts';

/** A meter version of an organization. */
export type KeptMeter = { readonly tenant: string; readonly meter: MeterVersion };

export type KeepPorts = {
  /** Everything up to it is stored and checked. */
  readonly readChecked: () => Promise<bigint>;
  /** Versions that are asked for: the newest of each meter, and those that plans are bound to. */
  readonly readMeters: () => Promise<readonly KeptMeter[]>;
  /** The store's time, and what has changed since an instant of it; without one, nothing. */
  readonly readChanged: (sinceMs: number | undefined) => Promise<Changed>;
  readonly readDue: (wanted: DueWanted) => Promise<readonly DueDay[]>;
  readonly make: (kept: KeptMeter, watermark: bigint, days: readonly DueDay[]) => Promise<void>;
  readonly report: {
    /** Milliseconds that it took. */
    readonly made: (days: readonly DueDay[], tookMs: number) => void;
    /** Meter versions that have days to be made. */
    readonly waiting: (versions: number) => void;
  };
  readonly stopwatch: () => () => number;
};

export type Changed = {
  readonly nowMs: number;
  readonly events: readonly { readonly tenant: string; readonly event: string }[];
};

export type KeepLimits = {
  readonly quietMs: DueWanted['quietMs'];
  /** Days that are looked up at a time. */
  readonly daysMax: number;
  /** Events of the days that are made by one statement, unless one day has more. */
  readonly eventsMax: number;
};

/** Days of a version that were read and are still to be made. */
type Pending = { readonly kept: KeptMeter; readonly watermark: bigint; readonly days: readonly DueDay[] };

/** What one look found to be done. */
type Look = { readonly nowMs: number; readonly watermark: bigint; readonly meters: KeptMeter[] };

const eventOf = (tenant: string, event: string): string => JSON.stringify([tenant, event]);

/**
 * Does one piece of what is due; resolves with in how many milliseconds it may go on, or false where there is nothing.
 * It rests for as long as it worked, so that it never takes more than half of what one statement may have.
 */
export const createKeepTotals = (limits: KeepLimits, ports: KeepPorts): (() => Promise<number | false>) => {
  /** By meter version: up to which instant of the store its days were looked at and made. */
  const lookedAt = new Map<string, number>();
  let before: number | undefined;
  let look: Look | undefined;
  let pending: Pending | undefined;

  /** Steps 1 and 2. */
  const lookAround = async (): Promise<Look> => {
    const watermark = await ports.readChecked();
    const meters = await ports.readMeters();
    const { nowMs, events } = await ports.readChanged(before);
    // What runs may have been left alone for so long.
    before = nowMs - Math.max(limits.quietMs.over, limits.quietMs.running);
    const changed = new Set(events.map(({ tenant, event }) => eventOf(tenant, event)));
    const known = new Set(meters.map(({ meter }) => meter.versionId));
    for (const version of lookedAt.keys()) if (!known.has(version)) lookedAt.delete(version);
    return {
      nowMs,
      watermark,
      meters: meters.filter(
        ({ tenant, meter }) => !lookedAt.has(meter.versionId) || changed.has(eventOf(tenant, meter.event)),
      ),
    };
  };

  /** Step 3. */
  const nextPending = async ({ nowMs, watermark, meters }: Look): Promise<Pending | undefined> => {
    const kept = meters.at(-1) as KeptMeter;
    const { versionId, event } = kept.meter;
    const due = await ports.readDue({
      tenant: kept.tenant,
      event,
      meterVersion: versionId,
      changedSinceMs: lookedAt.get(versionId),
      quietMs: limits.quietMs,
      limit: limits.daysMax,
    });
    const days = due.filter(({ sequence }) => BigInt(sequence) <= watermark);
    if (days.length > 0) return { kept, watermark, days };
    meters.pop();
    if (due.length === 0) lookedAt.set(versionId, nowMs - Math.max(limits.quietMs.over, limits.quietMs.running));
    // Days that are stored and not checked yet are looked for again.
    else lookedAt.delete(versionId);
    return undefined;
  };

  /** Step 4, for as many of the days as one statement takes. */
  const makeSome = async ({ kept, watermark, days }: Pending): Promise<number> => {
    let events = 0;
    const until = days.findIndex(({ rows }, index) => {
      events += rows;
      return index > 0 && events > limits.eventsMax;
    });
    const some = until === -1 ? days : days.slice(0, until);
    const elapsed = ports.stopwatch();
    try {
      await ports.make(kept, watermark, some);
    } catch (error) {
      // The others go on: this version is looked at whole by the next look.
      look?.meters.pop();
      lookedAt.delete(kept.meter.versionId);
      throw error;
    }
    const tookMs = elapsed();
    ports.report.made(some, tookMs);
    if (until !== -1) pending = { kept, watermark, days: days.slice(until) };
    return tookMs;
  };

  return async () => {
    if (pending) {
      const making = pending;
      pending = undefined;
      return await makeSome(making);
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
