/**
 * The use case of verifying ratings: billed billing periods are measured and rated again at the watermark that they are
 * billed at, by the same pure core, and held against what is stored, byte by byte. A page of periods is all that is
 * held at a time.
 */
import { type Amount, formatAmount, isRoundingMode, negateAmount, sumAmounts } from '#schemas/money.ts';
import { chargeDeltas, isDifferent } from '#schemas/rated-delta.ts';
import type { RatedLine, RatingPolicy } from '#schemas/rated-line.ts';
import { ratePlan } from '../price/rate.ts';
import { type MeasurePorts, measureShard } from '../run/rate-period.ts';
import { ratingInputOf } from '../run/rated-rows.ts';
import {
  type Difference,
  deltaDifferences,
  lineDifferences,
  type PrintedLine,
  printedDifferences,
  type RatedAgain,
  type StoredLine,
} from './line-differences.ts';

export type BilledPeriod = { readonly id: string; readonly watermark: bigint };

type StoredLines = {
  readonly rated: readonly StoredLine[];
  readonly printed: readonly PrintedLine[];
  /** By delta: what its period was rated as before. Those lines are verified with the period that they are of. */
  readonly before: ReadonlyMap<string, readonly RatedLine[]>;
  /** By delta that credit notes give back: what these come to, before discounts and taxes. */
  readonly credited: ReadonlyMap<string, Amount>;
};

export type RateAgainPorts = MeasurePorts & {
  /** The next billed periods of what is asked for behind an id, in order of their ids. */
  readonly billedPeriods: (asked: Asked, after: string) => Promise<readonly BilledPeriod[]>;
  readonly storedLines: (organizationId: string, periods: readonly BilledPeriod[]) => Promise<StoredLines>;
};

/** Something that is not as it was rated. */
export type Fault = { readonly of: string; readonly difference: Difference };

type PageFindings = {
  readonly lines: number;
  /** Lines from before lines were hashed; their bytes are compared all the same. */
  readonly unhashed: number;
  readonly faults: readonly Fault[];
};

export type PageReport = PageFindings & { readonly periods: number };

/** All that is billed of an organization, or what is of one invoice or one month, `2026-10`. */
export type Asked = {
  readonly organizationId: string;
  readonly invoiceId: string | undefined;
  readonly month: string | undefined;
  readonly pageSize: number;
};

export const nameOf = ({ billingPeriodId, chargeCode }: { billingPeriodId: string; chargeCode: string }): string =>
  `${billingPeriodId} ${chargeCode}`;

export const wholeFault = (of: string, stored: string, recomputed: string): Fault => ({
  of,
  difference: { field: 'line', stored, recomputed },
});

/** By the name of a line: how what is printed of it differs from what was rated again, and whether it has to be. */
type Printable = ReadonlyMap<
  string,
  { readonly isDue: boolean; readonly differencesOf: (printed: PrintedLine) => Difference[] }
>;

/**
 * What is printed: the lines as they are, and of deltas the differences. A charge that comes to the same may have a
 * line, as its discounts may not.
 */
const printableOf = ({ before, credited }: StoredLines, again: ReadonlyMap<string, RatedAgain>): Printable => {
  const byPeriod = Map.groupBy(
    [...again.values()].map(({ line }) => line),
    ({ billingPeriodId }) => billingPeriodId,
  );
  const whole = [...again]
    .filter(([, { line }]) => !before.has(line.billingPeriodId))
    .map(([name, { line }]) => {
      const differencesOf = (printed: PrintedLine) => printedDifferences(printed, line);
      return [name, { isDue: true, differencesOf }] as const;
    });
  const deltas = [...before].flatMap(([billingPeriodId, lines]) =>
    chargeDeltas(byPeriod.get(billingPeriodId) ?? [], lines).map((delta) => {
      const name = nameOf({ billingPeriodId, chargeCode: delta.line.chargeCode });
      const differencesOf = (printed: PrintedLine) => deltaDifferences(printed, delta);
      return [name, { isDue: isDifferent(delta) && !credited.has(billingPeriodId), differencesOf }] as const;
    }),
  );
  return new Map([...whole, ...deltas]);
};

/** What is given back of a delta is what it comes to less in all, whichever lines it is taken from. */
const creditFaults = ({ before, credited }: StoredLines, again: ReadonlyMap<string, RatedAgain>): Fault[] => {
  const lines = Map.groupBy(
    [...again.values()].map(({ line }) => line),
    ({ billingPeriodId }) => billingPeriodId,
  );
  return [...credited].flatMap(([id, amount]) => {
    const deltas = chargeDeltas(lines.get(id) ?? [], before.get(id) ?? []);
    const wanted = negateAmount(sumAmounts(deltas.map((delta) => delta.amount)));
    return wanted === amount ? [] : [wholeFault(`credit notes of ${id}`, formatAmount(amount), formatAmount(wanted))];
  });
};

const faultsOf = (stored: StoredLines, again: ReadonlyMap<string, RatedAgain>): Fault[] => {
  const faults: Fault[] = [];
  const missing = new Map(again);
  for (const rated of stored.rated) {
    const of = `${rated.id} (${nameOf(rated)})`;
    const same = again.get(nameOf(rated));
    if (!same) faults.push(wholeFault(of, 'is there', 'nothing'));
    else faults.push(...lineDifferences(rated, same).map((difference) => ({ of, difference })));
    missing.delete(nameOf(rated));
  }
  for (const name of missing.keys()) faults.push(wholeFault(`(${name})`, 'nothing', 'is there'));
  const printable = printableOf(stored, again);
  const unprinted = new Map(printable);
  for (const line of stored.printed) {
    const of = `${line.invoiceId} line ${line.position} (${nameOf(line)})`;
    const same = printable.get(nameOf(line));
    if (!same) faults.push(wholeFault(of, 'is there', 'nothing'));
    else faults.push(...same.differencesOf(line).map((difference) => ({ of, difference })));
    unprinted.delete(nameOf(line));
  }
  for (const [name, { isDue }] of unprinted)
    if (isDue) faults.push(wholeFault(`on the invoice (${name})`, 'nothing', 'is there'));
  return [...faults, ...creditFaults(stored, again)];
};

/**
 * By which its lines were rounded, by billing period: the organization may have chosen another policy since. What is no
 * policy is a fault, which the policy of now brings to light.
 */
export const policiesOf = (rated: readonly StoredLine[]): ReadonlyMap<string, RatingPolicy> =>
  new Map(
    rated.flatMap(({ billingPeriodId, rounding }) =>
      isRoundingMode(rounding) ? [[billingPeriodId, { rounding }] as const] : [],
    ),
  );

export const rateAgain = async (
  ports: MeasurePorts,
  organizationId: string,
  periods: readonly BilledPeriod[],
  policies: ReadonlyMap<string, RatingPolicy>,
): Promise<Map<string, RatedAgain>> => {
  const again = new Map<string, RatedAgain>();
  for (const [watermark, some] of Map.groupBy(periods, (period) => period.watermark)) {
    const billingPeriodIds = some.map(({ id }) => id);
    const shard = await measureShard(ports, { organizationId, watermark, billingPeriodIds });
    for (const period of shard.periods) {
      const rounded = { ...shard, policy: policies.get(period.billingPeriodId) ?? shard.policy };
      for (const line of ratePlan(period, rounded.policy))
        again.set(nameOf(line), { line, input: ratingInputOf(rounded, period, line) });
    }
  }
  return again;
};

/** What can't be read any more can't be rated: of a page, the periods are named that it is true of. */
const isDamage = (error: unknown): error is Error => (error as { code?: string }).code === 'ERR_ASSERTION';

/** Of a page; where it has damage, period by period. */
const verifyReadable = async (
  periods: readonly BilledPeriod[],
  verify: (periods: readonly BilledPeriod[]) => Promise<PageFindings>,
): Promise<PageFindings> => {
  try {
    return await verify(periods);
  } catch (error) {
    if (!isDamage(error)) throw error;
    const [only, ...more] = periods;
    if (only && more.length === 0)
      return { lines: 0, unhashed: 0, faults: [wholeFault(`(${only.id})`, 'is there', error.message)] };
    const found = [];
    for (const period of periods) found.push(await verifyReadable([period], verify));
    return {
      lines: found.reduce((sum, { lines }) => sum + lines, 0),
      unhashed: found.reduce((sum, { unhashed }) => sum + unhashed, 0),
      faults: found.flatMap(({ faults }) => faults),
    };
  }
};

/** Page by page. */
export async function* verifyPages(
  { billedPeriods }: Pick<RateAgainPorts, 'billedPeriods'>,
  asked: Asked,
  verify: (periods: readonly BilledPeriod[]) => Promise<PageFindings>,
): AsyncGenerator<PageReport> {
  for (let after = ''; ; ) {
    const periods = await billedPeriods(asked, after);
    const last = periods.at(-1);
    if (!last) return;
    yield { periods: periods.length, ...(await verifyReadable(periods, verify)) };
    after = last.id;
  }
}

export const verifyRatings = (ports: RateAgainPorts, asked: Asked): AsyncGenerator<PageReport> =>
  verifyPages(ports, asked, async (periods) => {
    const stored = await ports.storedLines(asked.organizationId, periods);
    const again = await rateAgain(ports, asked.organizationId, periods, policiesOf(stored.rated));
    return {
      lines: stored.rated.length,
      unhashed: stored.rated.filter(({ hashes }) => hashes === undefined).length,
      faults: faultsOf(stored, again),
    };
  });
