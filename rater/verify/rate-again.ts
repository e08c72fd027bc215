/**
 * The use case of verifying ratings: billed billing periods are measured and rated again at the watermark that they are
 * billed at, by the same pure core, and held against what is stored, byte by byte. A page of periods is all that is
 * held at a time.
 */
import { ratePlan } from '../price/rate.ts';
import { type MeasurePorts, measureShard } from '../run/rate-period.ts';
import { ratingInputOf } from '../run/rated-rows.ts';
import {
  type Difference,
  lineDifferences,
  type PrintedLine,
  printedDifferences,
  type RatedAgain,
  type StoredLine,
} from './line-differences.ts';

type BilledPeriod = { readonly id: string; readonly watermark: bigint };

type StoredLines = { readonly rated: readonly StoredLine[]; readonly printed: readonly PrintedLine[] };

export type RateAgainPorts = MeasurePorts & {
  /** The next billed periods of an organization behind an id, in order of their ids; those of one invoice, or all. */
  readonly billedPeriods: (
    organizationId: string,
    invoiceId: string | undefined,
    after: string,
    limit: number,
  ) => Promise<readonly BilledPeriod[]>;
  readonly storedLines: (organizationId: string, periods: readonly BilledPeriod[]) => Promise<StoredLines>;
};

/** Something that is not as it was rated. */
export type Fault = { readonly of: string; readonly difference: Difference };

export type PageReport = {
  readonly periods: number;
  readonly lines: number;
  /** Lines from before lines were hashed; their bytes are compared all the same. */
  readonly unhashed: number;
  readonly faults: readonly Fault[];
};

export type Asked = {
  readonly organizationId: string;
  readonly invoiceId: string | undefined;
  readonly pageSize: number;
};

const nameOf = ({ billingPeriodId, chargeCode }: { billingPeriodId: string; chargeCode: string }): string =>
  `${billingPeriodId} ${chargeCode}`;

const whole = (of: string, stored: string, recomputed: string): Fault => ({
  of,
  difference: { field: 'line', stored, recomputed },
});

const faultsOf = ({ rated, printed }: StoredLines, again: ReadonlyMap<string, RatedAgain>): Fault[] => {
  const faults: Fault[] = [];
  const missing = new Map(again);
  for (const stored of rated) {
    const of = `${stored.id} (${nameOf(stored)})`;
    const same = again.get(nameOf(stored));
    if (!same) faults.push(whole(of, 'is there', 'nothing'));
    else faults.push(...lineDifferences(stored, same).map((difference) => ({ of, difference })));
    missing.delete(nameOf(stored));
  }
  for (const name of missing.keys()) faults.push(whole(`(${name})`, 'nothing', 'is there'));
  const unprinted = new Map(again);
  for (const line of printed) {
    const of = `${line.invoiceId} line ${line.position} (${nameOf(line)})`;
    const same = again.get(nameOf(line));
    if (!same) faults.push(whole(of, 'is there', 'nothing'));
    else faults.push(...printedDifferences(line, same.line).map((difference) => ({ of, difference })));
    unprinted.delete(nameOf(line));
  }
  for (const name of unprinted.keys()) faults.push(whole(`on the invoice (${name})`, 'nothing', 'is there'));
  return faults;
};

const rateAgain = async (
  ports: RateAgainPorts,
  organizationId: string,
  periods: readonly BilledPeriod[],
): Promise<Map<string, RatedAgain>> => {
  const again = new Map<string, RatedAgain>();
  for (const [watermark, some] of Map.groupBy(periods, (period) => period.watermark)) {
    const billingPeriodIds = some.map(({ id }) => id);
    const shard = await measureShard(ports, { organizationId, watermark, billingPeriodIds });
    for (const period of shard.periods)
      for (const line of ratePlan(period, shard.policy))
        again.set(nameOf(line), { line, input: ratingInputOf(shard, period, line) });
  }
  return again;
};

/** What can't be read any more can't be rated: of a page, the periods are named that it is true of. */
const isDamage = (error: unknown): error is Error => (error as { code?: string }).code === 'ERR_ASSERTION';

const verifyPeriods = async (
  ports: RateAgainPorts,
  organizationId: string,
  periods: readonly BilledPeriod[],
): Promise<Omit<PageReport, 'periods'>> => {
  let again: Map<string, RatedAgain>;
  try {
    again = await rateAgain(ports, organizationId, periods);
  } catch (error) {
    if (!isDamage(error)) throw error;
    const [only, ...more] = periods;
    if (only && more.length === 0)
      return { lines: 0, unhashed: 0, faults: [whole(`(${only.id})`, 'is there', error.message)] };
    const reports = [];
    for (const period of periods) reports.push(await verifyPeriods(ports, organizationId, [period]));
    return {
      lines: reports.reduce((sum, { lines }) => sum + lines, 0),
      unhashed: reports.reduce((sum, { unhashed }) => sum + unhashed, 0),
      faults: reports.flatMap(({ faults }) => faults),
    };
  }
  const stored = await ports.storedLines(organizationId, periods);
  return {
    lines: stored.rated.length,
    unhashed: stored.rated.filter(({ hashes }) => hashes === undefined).length,
    faults: faultsOf(stored, again),
  };
};

/** Page by page. */
export async function* verifyRatings(ports: RateAgainPorts, asked: Asked): AsyncGenerator<PageReport> {
  const { organizationId, invoiceId, pageSize } = asked;
  for (let after = ''; ; ) {
    const periods = await ports.billedPeriods(organizationId, invoiceId, after, pageSize);
    const last = periods.at(-1);
    if (!last) return;
    yield { periods: periods.length, ...(await verifyPeriods(ports, organizationId, periods)) };
    after = last.id;
  }
}
