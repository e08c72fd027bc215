/**
 * The use case of reading a meter's usage: from totals where these hold, from events else, and from both where some
 * days of it have changed since. Either way gives the same answer to the last digit.
 */
import type { Instant } from '#schemas/period.ts';
import { type UsageRow, type UsageStatement, usageFromRows, usageStatement } from '../aggregate/usage-query.ts';
import type { UsageWanted } from '../aggregate/usage-wanted.ts';
import {
  type AskedUsage,
  type DaysStatement,
  daysFromRows,
  daysStatement,
  type EventsReason,
  eventsReason,
  unitOf,
} from './total-days.ts';

/** Which way an answer went, and why: the days (UTC) that were read from events, or why all of them were. */
export type UsageWay =
  | { readonly from: 'totals'; readonly daysOfEvents: readonly Instant[] }
  | { readonly from: 'events'; readonly reason: EventsReason | 'fault' };

export type UsageRead = { readonly rows: readonly UsageRow[]; readonly way: UsageWay };

export type ReadPorts = {
  readonly read: <R>(statement: UsageStatement | DaysStatement) => Promise<R[]>;
  /** Whether it is the totals that can't be read, and not the store. */
  readonly isOfTotals: (error: unknown) => boolean;
  readonly report: { readonly way: (way: UsageWay) => void; readonly fault: (error: unknown) => void };
};

/** Of all that is asked, the days that totals do not hold, and those that are cut. */
const readDaysOfEvents = async (
  { read }: ReadPorts,
  wanted: AskedUsage,
  cut: readonly Instant[],
): Promise<Instant[]> => {
  const stale = daysFromRows(await read<{ number: string }>(daysStatement(wanted)));
  return [...new Set([...stale, ...cut])].sort((a, b) => a - b);
};

export const createReadMeterUsage = (ports: ReadPorts): ((wanted: AskedUsage) => Promise<UsageRead>) => {
  const rowsOf = async (wanted: UsageWanted): Promise<UsageRow[]> =>
    usageFromRows(wanted, await ports.read<Record<string, unknown>>(usageStatement(wanted)));
  const fromEvents = async (wanted: AskedUsage, reason: EventsReason | 'fault'): Promise<UsageRead> => ({
    rows: await rowsOf(wanted),
    way: { from: 'events', reason },
  });
  const read = async (wanted: AskedUsage): Promise<UsageRead> => {
    const reason = eventsReason(wanted);
    if (reason !== undefined) return await fromEvents(wanted, reason);
    try {
      const { unit, cut } = unitOf(wanted.period, wanted.windowStarts);
      const daysOfEvents = await readDaysOfEvents(ports, wanted, cut);
      const totals = { meterVersion: wanted.meter.versionId, unit, daysOfEvents };
      return { rows: await rowsOf({ ...wanted, totals }), way: { from: 'totals', daysOfEvents } };
    } catch (error) {
      if (!ports.isOfTotals(error)) throw error;
      ports.report.fault(error);
      return await fromEvents(wanted, 'fault');
    }
  };
  return async (wanted) => {
    const answer = await read(wanted);
    ports.report.way(answer.way);
    return answer;
  };
};
