/** Prices of billing periods as they are stored: those that stand by now, and those that rated lines name. */
import type { Queryable } from '#platform/stores/postgres.ts';
import type { Instant } from '#schemas/period.ts';
import { type PriceSpanJson, priceSpanFromJson } from '#schemas/price-span.ts';
import { madeUntil, namedRowsOf } from '../price/source-rows.ts';
import type { BillablePeriod } from './measured-periods.ts';
import type { PinnedMeter, PriceSpans } from './measures.ts';
import { overridesNamed, standingOverrides } from './price-overrides.postgres.ts';
import { namedPriceSpans, pricesToRead } from './price-spans.ts';
import { namedSourceRows, standingSourceRows } from './source-rows.postgres.ts';

type PricesOf = ReadonlyMap<string, PriceSpans>;

/** By the catalog as it was at an instant; by default as it is. */
export const standingPrices = async (
  postgres: Queryable,
  organizationId: string,
  periods: readonly BillablePeriod[],
  meters: readonly PinnedMeter[],
  pricesUntil?: Instant,
): Promise<PricesOf> => {
  if (periods.length === 0) return new Map();
  const { asked, spansBy } = pricesToRead(periods, meters);
  const { time } = asked;
  const overrides = await standingOverrides(postgres, organizationId, {
    planIds: asked.planIds,
    customerIds: asked.customerIds,
    start: new Date(time.start),
    end: new Date(time.end),
    madeUntil: madeUntil(pricesUntil),
  });
  const names = asked.namesIn(overrides);
  if (overrides.length + names.books.length + names.units.length === 0) return new Map();
  return spansBy({ overrides, rows: await standingSourceRows(postgres, organizationId, names, time, pricesUntil) });
};

const ratedStatement = `SELECT p.id AS billing_period_id, l.charge_code, l.line -> 'price_spans' AS price_spans,
    l.rated_at
  FROM unnest($2::text[], $3::text[], $4::bool[]) AS p (id, rated_id, is_bounded)
    JOIN billing_periods o ON o.organization_id = $1 AND o.id = p.rated_id
    JOIN rated_lines l ON l.billing_period_id = o.id AND l.watermark = o.watermark
  WHERE p.is_bounded OR l.line -> 'price_spans' IS NOT NULL`;

type RatedRow = {
  billing_period_id: string;
  charge_code: string;
  price_spans: PriceSpanJson[] | null;
  rated_at: Date;
};

/** Whether more than its charges counts for its bounds, which none of its lines names. */
const hasOthers = ({ part }: BillablePeriod): boolean => part !== undefined && part.others.length > 0;

/** Of what counts for the bounds alone: those that stood when the lines were rated. */
const pricesOfOthers = async (
  postgres: Queryable,
  organizationId: string,
  periods: readonly BillablePeriod[],
  meters: readonly PinnedMeter[],
  ratedAt: (period: BillablePeriod) => Instant | undefined,
): Promise<PricesOf> => {
  const found = new Map<string, PriceSpans>();
  for (const [instant, some] of Map.groupBy(periods.filter(hasOthers), ratedAt)) {
    const others = some.map((period) => ({ ...period, charges: [], storedCharges: [] }));
    for (const [id, spans] of await standingPrices(postgres, organizationId, others, meters, instant))
      found.set(id, spans);
  }
  return found;
};

/**
 * By the lines of billed periods: a delta goes by those of what it corrects, a credit by those of what it takes back,
 * and any other period by its own. What counts beside them for the bounds has the prices that stood when they were
 * rated.
 */
export const ratedPrices = async (
  postgres: Queryable,
  organizationId: string,
  periods: readonly BillablePeriod[],
  meters: readonly PinnedMeter[],
): Promise<PricesOf> => {
  if (periods.length === 0) return new Map();
  const { rows } = await postgres.query<RatedRow>(ratedStatement, [
    organizationId,
    periods.map(({ billingPeriodId }) => billingPeriodId),
    periods.map(({ billingPeriodId, pricedAs }) => pricedAs ?? billingPeriodId),
    periods.map(hasOthers),
  ]);
  const lines = rows.map((row) => ({ ...row, spans: row.price_spans?.map(priceSpanFromJson) ?? [] }));
  const sources = lines.flatMap(({ spans }) => spans.map((one) => one.sources));
  const named = sources.flatMap(({ priceOverrideId }) => priceOverrideId ?? []);
  const overrides = await overridesNamed(postgres, organizationId, named);
  const versionIds = sources.flatMap(({ costBookVersionId }) => costBookVersionId ?? []);
  const rateIds = sources.flatMap(({ creditUnitRateIds }) => creditUnitRateIds ?? []);
  const sourceRows = namedRowsOf(await namedSourceRows(postgres, organizationId, versionIds, rateIds));
  const linesOf = Map.groupBy(lines, ({ billing_period_id }) => billing_period_id);
  const ratedAt = ({ billingPeriodId: id }: BillablePeriod) => linesOf.get(id)?.[0]?.rated_at.getTime();
  const beside = await pricesOfOthers(postgres, organizationId, periods, meters, ratedAt);
  const spansOf = (period: BillablePeriod): PriceSpans => {
    const own = (linesOf.get(period.billingPeriodId) ?? []).flatMap(({ charge_code, spans }) => {
      const index = period.charges.findIndex(({ code }) => code === charge_code);
      const [charge, storedCharge] = [period.charges[index], period.storedCharges[index]];
      // A line of a charge that its plan has not is a fault that is found elsewhere.
      return charge && storedCharge && spans.length > 0
        ? [[charge_code, namedPriceSpans(spans, { charge, storedCharge }, overrides, sourceRows)] as const]
        : [];
    });
    return new Map([...own, ...(beside.get(period.billingPeriodId) ?? [])]);
  };
  return new Map(periods.map((period) => [period.billingPeriodId, spansOf(period)]));
};
