/**
 * What parts of subscriptions will be charged that are not written down yet: by the very rules of the rater, over the
 * same prices, and over usage as far as it is measured. A part that can't be rated as things stand says so, and stops
 * no other.
 */
import { periodIdOf } from '#schemas/billing-period.ts';
import type { DuePart } from '#schemas/due-parts.ts';
import type { Instant } from '#schemas/period.ts';
import { isPeriodBound } from '#schemas/period-bound.ts';
import type { PolicyRounding, RatedLine, RatingPolicy } from '#schemas/rated-line.ts';
import { failureMessage } from '#schemas/rating-failure.ts';
import type { Quantities, QuantityQuery } from '../../rater/aggregate/quantity-query.ts';
import { ratePlan } from '../../rater/price/rate.ts';
import type { MeasuredPeriod } from '../../rater/price/rating-task.ts';
import { billableReader, type OneTimeRow, type VersionRow } from '../../rater/run/billable-periods.ts';
import { type BillablePeriod, periodsToMeasure } from '../../rater/run/measured-periods.ts';
import type { PinnedMeter, PriceSpans } from '../../rater/run/measures.ts';
import type { Payer } from '../../rater/run/payer-statements.ts';
import { pricesToRead, type ReadPrices } from '../../rater/run/price-spans.ts';
import type { Db } from '../route/define-route.ts';
import type { UpcomingReader } from './upcoming.postgres.ts';
import { rowOf, type UpcomingSubscription } from './upcoming-parts.ts';

export type RateUpcomingPorts = {
  readonly upcoming: Pick<UpcomingReader, 'meters' | 'prices'>;
  readonly organizations: { readonly organization: (db: Db) => Promise<{ readonly rounding: PolicyRounding }> };
};

export type UpcomingPart = {
  readonly subscription: UpcomingSubscription;
  readonly externalIds: readonly string[];
  readonly part: DuePart;
  /** By id. */
  readonly oneTimeRows: ReadonlyMap<string, OneTimeRow>;
  /** Whether something of its subscription falls due after it. */
  readonly goesOn: boolean;
  /** Of what is written down and was carried over: since when, and who was to pay it. */
  readonly waits?: { readonly since: Instant; readonly payer: Payer };
  /** Of what is written down and was not carried over: who is to pay it. */
  readonly written?: { readonly payer: Payer };
};

/** The lines of a part, or why there are none. */
export type RatedPart = UpcomingPart & {
  /** What no usage goes into. */
  readonly known: readonly RatedLine[];
  readonly ofUsage: readonly RatedLine[];
  readonly failure: string | undefined;
};

/** The id that its billing period has, or would have. */
export const partIdOf = ({ subscription, part }: Pick<UpcomingPart, 'part' | 'subscription'>): string =>
  periodIdOf(subscription.id, part);

type MeasureUsage = (query: Pick<QuantityQuery, 'spans' | 'measures'>) => Promise<Quantities>;

type Attempt<T> = { readonly value: T } | { readonly failure: string };

/** What rating throws it throws again, as nothing but what was read goes into it. */
const attempt = <T>(work: () => T): Attempt<T> => {
  try {
    return { value: work() };
  } catch (error) {
    return { failure: failureMessage(error) };
  }
};

type Found = { readonly ahead: UpcomingPart; readonly result: Attempt<BillablePeriod> };

const billableOf = (parts: readonly UpcomingPart[], versions: readonly VersionRow[]): Found[] => {
  const charges = new Set(parts.map(({ oneTimeRows }) => oneTimeRows));
  const read = billableReader(
    versions,
    [...charges].flatMap((rows) => [...rows.values()]),
  );
  return parts.map((ahead) => ({
    ahead,
    result: attempt(() => read(rowOf(ahead.subscription, ahead.externalIds, ahead.part))),
  }));
};

const spansOf = (
  found: readonly Found[],
  meters: readonly PinnedMeter[],
  spansBy: ReturnType<typeof pricesToRead>['spansBy'],
  read: ReadPrices,
): { readonly found: Found[]; readonly spans: ReadonlyMap<string, PriceSpans> } => {
  const spans = new Map<string, PriceSpans>();
  const judged = found.map((one): Found => {
    const { result } = one;
    if ('failure' in result) return one;
    const priced = attempt(() => {
      const own = spansBy(read, [result.value]);
      // A meter that is not there is found here, and not where all are measured together.
      periodsToMeasure([result.value], meters, own);
      return own;
    });
    if ('failure' in priced) return { ...one, result: priced };
    for (const [id, own] of priced.value) spans.set(id, own);
    return one;
  });
  return { found: judged, spans };
};

const linesOf = (ahead: UpcomingPart, period: MeasuredPeriod, policy: RatingPolicy): RatedPart => {
  const rated = attempt(() => ratePlan(period, policy));
  if ('failure' in rated) return { ...ahead, known: [], ofUsage: [], failure: rated.failure };
  // What a period costs at least and at most is a matter of its usage, where there is any.
  const isOfUsage = ({ meter, model }: RatedLine) => meter !== null || (isPeriodBound(model) && ahead.part.isMetered);
  return {
    ...ahead,
    known: rated.value.filter((line) => !isOfUsage(line)),
    ofUsage: rated.value.filter(isOfUsage),
    failure: undefined,
  };
};

/** All that rating takes but usage. */
export type ReadParts = {
  /** What is asked of usage. */
  readonly query: Pick<QuantityQuery, 'spans' | 'measures'>;
  /** In the order of the parts; without quantities what usage goes into is not rated. */
  readonly rated: (quantities: Quantities | undefined) => readonly RatedPart[];
};

/** Reads PostgreSQL alone. */
export const readUpcoming = async (
  { upcoming, organizations }: RateUpcomingPorts,
  db: Db,
  parts: readonly UpcomingPart[],
  versions: readonly VersionRow[],
): Promise<ReadParts> => {
  if (parts.length === 0) return { query: { spans: [], measures: [] }, rated: () => [] };
  const billable = billableOf(parts, versions);
  const readable = billable.flatMap(({ result }) => ('value' in result ? [result.value] : []));
  const [policy, meters] = await Promise.all([
    organizations.organization(db),
    upcoming.meters(db, [...new Set(readable.map(({ planVersionId }) => planVersionId))]),
  ]);
  const { rounding } = policy;
  const { asked, spansBy } = pricesToRead(readable, meters);
  const read = readable.length > 0 ? await upcoming.prices(db, asked) : undefined;
  const { found, spans } = read ? spansOf(billable, meters, spansBy, read) : { found: billable, spans: new Map() };
  const priced = found.flatMap(({ result }) => ('value' in result ? [result.value] : []));
  const { query, measured } = periodsToMeasure(priced, meters, spans);
  const rated = (quantities: Quantities | undefined): readonly RatedPart[] => {
    const byId = new Map(measured(quantities ?? new Map()).map((period) => [period.billingPeriodId, period]));
    return found.map(({ ahead, result }) => {
      if ('failure' in result) return { ...ahead, known: [], ofUsage: [], failure: result.failure };
      const lines = linesOf(ahead, byId.get(result.value.billingPeriodId) as MeasuredPeriod, { rounding });
      return quantities ? lines : { ...lines, ofUsage: [] };
    });
  };
  return { query, rated };
};

/** In the order of the parts. Without `measure` no usage is read, and what usage goes into is not rated. */
export const rateUpcoming = async (
  ports: RateUpcomingPorts,
  db: Db,
  parts: readonly UpcomingPart[],
  versions: readonly VersionRow[],
  measure?: MeasureUsage,
): Promise<readonly RatedPart[]> => {
  const { query, rated } = await readUpcoming(ports, db, parts, versions);
  if (!measure) return rated(undefined);
  return rated(query.measures.length > 0 ? await measure(query) : new Map());
};
