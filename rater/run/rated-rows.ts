/**
 * Measured billing periods -> the rows of their rated lines, hashed, as they are stored. All of it happens in a worker:
 * what comes back are texts, which cost the main thread next to nothing to take. Pure.
 */
import type { Amount } from '#schemas/money.ts';
import type { Period } from '#schemas/period.ts';
import { boundChargeToJson, isPeriodBound, type PeriodBoundName } from '#schemas/period-bound.ts';
import { type RatedLine, type RatingPolicy, ratedLineToJson } from '#schemas/rated-line.ts';
import { failureMessage, type RatingFailure } from '#schemas/rating-failure.ts';
import { type RatingInput, ratingInputToJson } from '#schemas/rating-input.ts';
import { boundsOf, policyOf, priceSpansOfCharge, ratePlan } from '../price/rate.ts';
import type { ChargeUsage, MeasuredPeriod, MeasuredShard } from '../price/rating-task.ts';
import { lineHashes } from './line-hashes.ts';

/** The rows of a shard by column. */
export type RatedRows = {
  readonly billingPeriodIds: string[];
  readonly subscriptionIds: string[];
  readonly planVersionIds: string[];
  /** Milliseconds. */
  readonly spanStarts: number[];
  readonly spanEnds: number[];
  readonly chargeCodes: string[];
  readonly positions: number[];
  readonly unmeasuredEvents: string[];
  /** What was measured in parts, as JSON; null where it was not. */
  readonly parts: (string | null)[];
  /** The JSON of each line. */
  readonly lines: string[];
  readonly inputHashes: string[];
  readonly outputHashes: string[];
};

export type RatedShard = {
  readonly rows: RatedRows;
  /** Periods that have no rows: one that can't be rated never stops the others. */
  readonly failures: readonly RatingFailure[];
};

const boundInput = (period: MeasuredPeriod, policy: RatingPolicy, code: PeriodBoundName, { amount }: RatedLine) => {
  const bound = boundsOf(period, policy)?.[code];
  if (!bound) throw new RangeError(`there is no ${code} in the plan version of the line`);
  return {
    charge: boundChargeToJson(code, period.bounds?.[code] ?? bound),
    charged: (bound.amount - amount) as Amount,
    measured: [],
  };
};

/** Of a line that is of a part of the billing period. */
const prorated = ({ proration }: MeasuredPeriod) => (proration ? { proration } : {});

/** What went into a line of the period. */
export const ratingInputOf = (shard: MeasuredShard, period: MeasuredPeriod, line: RatedLine): RatingInput => {
  const head = {
    billingPeriodId: period.billingPeriodId,
    subscriptionId: period.subscriptionId,
    customerId: period.customerId,
    planVersionId: period.planVersionId,
    position: line.position,
    currency: period.currency,
    policy: shard.policy,
    span: period.span,
    watermark: shard.watermark,
  };
  if (isPeriodBound(line.model))
    return { ...head, ...prorated(period), ...boundInput(period, shard.policy, line.model, line) };
  const charge = period.storedCharges.find(({ code }) => code === line.chargeCode);
  if (!charge) throw new RangeError(`there is no charge ${line.position} in plan version ${period.planVersionId}`);
  const { meter, code } = charge;
  const part = period.part;
  const isCounted = part !== undefined && Object.hasOwn(part.counted, code);
  const spans = priceSpansOfCharge(period, code);
  const measuredOf = (usage: ChargeUsage | undefined, span?: Period) => ({
    meter: meter ?? '',
    meterVersionId: period.meterVersionIds[code] ?? '',
    ...(span && { span }),
    customers: period.customers,
    quantity: usage?.quantity ?? '0',
    ...(usage?.parts && { parts: usage.parts }),
    unmeasuredEvents: usage?.unmeasuredEvents ?? 0n,
  });
  const whole = Object.hasOwn(period.usage, code) ? period.usage[code] : undefined;
  const measured = spans?.map(({ usage, span }) => measuredOf(usage, span)) ?? [measuredOf(whole)];
  return {
    ...head,
    charge,
    measured: meter ? measured : [],
    ...(part && part.timing !== 'arrears' && { timing: part.timing }),
    ...(isCounted && { levels: part.levels }),
    ...(meter === null && !isCounted && prorated(period)),
    ...(spans && {
      priceSpans: spans.map(({ span, tiers, sources, storedPrice }) => ({ span, tiers, sources, storedPrice })),
    }),
  };
};

export const unmeasuredOf = ({ measured }: RatingInput): bigint =>
  measured.reduce((sum, { unmeasuredEvents }) => sum + unmeasuredEvents, 0n);

/** As JSON, where it was measured in parts. Those of price spans stand in the line, with their spans. */
export const partsOf = ({ measured, priceSpans }: RatingInput): string | null => {
  const parts = priceSpans ? undefined : measured[0]?.parts;
  return parts ? JSON.stringify(parts) : null;
};

const pushPeriod = (rows: RatedRows, ofAll: MeasuredShard, period: MeasuredPeriod): void => {
  const shard = { ...ofAll, policy: policyOf(period, ofAll.policy) };
  for (const line of ratePlan(period, shard.policy)) {
    const input = ratingInputOf(shard, period, line);
    const json = ratedLineToJson(line);
    const hashes = lineHashes(ratingInputToJson(input), json);
    rows.billingPeriodIds.push(line.billingPeriodId);
    rows.subscriptionIds.push(line.subscriptionId);
    rows.planVersionIds.push(line.planVersionId);
    rows.spanStarts.push(line.span.start);
    rows.spanEnds.push(line.span.end);
    rows.chargeCodes.push(line.chargeCode);
    rows.positions.push(line.position);
    rows.unmeasuredEvents.push(unmeasuredOf(input).toString());
    rows.parts.push(partsOf(input));
    rows.lines.push(JSON.stringify(json));
    rows.inputHashes.push(hashes.input);
    rows.outputHashes.push(hashes.output);
  }
};

/** Takes back what of a period was put behind the first `length` rows. */
const cutBack = (rows: RatedRows, length: number): void => {
  for (const column of Object.values(rows)) column.length = length;
};

/** Whatever rating throws it throws again at the next try, as nothing but the period goes into it. */
export const rateShard = (shard: MeasuredShard): RatedShard => {
  const rows: RatedRows = {
    billingPeriodIds: [],
    subscriptionIds: [],
    planVersionIds: [],
    spanStarts: [],
    spanEnds: [],
    chargeCodes: [],
    positions: [],
    unmeasuredEvents: [],
    parts: [],
    lines: [],
    inputHashes: [],
    outputHashes: [],
  };
  const failures: RatingFailure[] = [];
  for (const period of shard.periods) {
    const before = rows.lines.length;
    try {
      pushPeriod(rows, shard, period);
    } catch (error) {
      cutBack(rows, before);
      failures.push({ billingPeriodId: period.billingPeriodId, code: 'rating_error', message: failureMessage(error) });
    }
  }
  return { rows, failures };
};
