/** Bugs that the simulation must find: each is one that somebody could write. */
import { addAmounts, roundToMinorUnits } from '#schemas/money.ts';
import type { IssuePorts } from '../../../invoicer/issuing/close-period.ts';
import type { RatePorts } from '../../../rater/run/rate-period.ts';
import { ratedBefore } from './invoicer-ports.ts';
import { ratedLinesAt } from './rater-ports.ts';
import type { PeriodRecord } from './tables.ts';
import type { World } from './world.ts';

export type BillingBug = {
  readonly forgetsDeltas?: true;
  readonly billsTwice?: true;
  readonly looksPastOthers?: true;
  readonly savesUnheld?: true;
  readonly creditsWithoutLock?: true;
  readonly rater?: (ports: RatePorts, world: World) => RatePorts;
  readonly invoicer?: (ports: IssuePorts, world: World) => IssuePorts;
};

export const plantedBugs = {
  'a delta is held against the first invoice, and not against the delta before it': { forgetsDeltas: true },
  'what is billed already is billed once more by whoever has the shard after a crash': { billsTwice: true },
  'what is behind the watermark of another run is not looked at again': { looksPastOthers: true },
  'credit notes take no lock on their invoice': { creditsWithoutLock: true },
  'a run does not wait until its watermark is stored and checked': {
    rater: (ports) => ({ ...ports, isChecked: async () => true }),
  },
  'a number is taken before the invoice is there': {
    invoicer: (ports, { tables }) => ({
      ...ports,
      commit: (shard, issue, ...more) =>
        ports.commit(
          shard,
          (state) => {
            const closed = issue(state);
            const last = closed.invoices.at(-1);
            if (last) Object.assign(tables.series, { lastNumber: last.number, headHash: last.hash });
            return closed;
          },
          ...more,
        ),
    }),
  },
  'each delta is rounded by itself': {
    invoicer: (ports, world) => ({
      ...ports,
      ratedLines: async (shard, periods) => {
        const lines = await ports.ratedLines(shard, periods);
        return lines.map((line) => {
          const period = world.tables.periods.get(line.billingPeriodId) as PeriodRecord;
          if (period.correctsId === undefined) return line;
          const earlier = ratedBefore(world, period);
          const rated = ratedLinesAt(world.tables, earlier, earlier.watermark ?? 0n);
          const before = rated.find(({ chargeCode }) => chargeCode === line.chargeCode);
          if (!before) return line;
          const more = (line.precise - before.precise) as typeof line.precise;
          return { ...line, amount: addAmounts(before.amount, roundToMinorUnits(more, line.currency, line.rounding)) };
        });
      },
    }),
  },
  'a discount that is used once is forgotten by the next shard': {
    invoicer: (ports) => ({
      ...ports,
      commit: (shard, issue, ...more) =>
        ports.commit(
          shard,
          ({ discounts, ...state }) => issue({ ...state, discounts: discounts && { ...discounts, uses: [] } }),
          ...more,
        ),
    }),
  },
  'a delta that is credited stays open': {
    invoicer: (ports) => ({
      ...ports,
      commit: (shard, issue, ...more) =>
        ports.commit(
          shard,
          (state) => {
            const closed = issue(state);
            return { ...closed, settled: closed.settled.filter((one) => one.state !== 'credited') };
          },
          ...more,
        ),
    }),
  },
} as const satisfies Record<string, BillingBug>;
