/**
 * What part of a billing period a subscription covers, for prices that are of a whole one. Shared by rater and api.
 * Pure.
 */
import type { Instant, Period } from '#schemas/period.ts';
import { samePeriod } from '#schemas/period.ts';
import type { QuantityLevel } from '#schemas/subscription-terms.ts';

/** By the millisecond, by days of the calendar, or not at all. Of versions from before there was a choice: none. */
export const prorationPolicies = ['time', 'day', 'none'] as const;
export type ProrationPolicy = (typeof prorationPolicies)[number];

/**
 * The part from `from` to before `to` of a whole of `of`, in milliseconds or days since the begin of the billing
 * period. Its own JSON, too. Parts that follow each other tile the whole: each begins where the one before ends.
 */
export type Proration = {
  readonly by: 'time' | 'day';
  readonly from: number;
  readonly to: number;
  readonly of: number;
};

const dateAt = (instant: Instant, timeZone: string): Temporal.PlainDate =>
  Temporal.Instant.fromEpochMilliseconds(instant).toZonedDateTimeISO(timeZone).toPlainDate();

/**
 * Undefined where the whole is charged. By days, a day belongs to whom it begins with: it is charged whole where the
 * span begins within it, and not at all where the span ends within it. A period that lies within one day has no part.
 */
export const prorationOf = (
  policy: ProrationPolicy,
  billing: Period,
  span: Period,
  timeZone: string,
): Proration | undefined => {
  if (policy === 'none' || samePeriod(billing, span)) return undefined;
  if (policy === 'time')
    return {
      by: 'time',
      from: span.start - billing.start,
      to: span.end - billing.start,
      of: billing.end - billing.start,
    };
  const first = dateAt(billing.start, timeZone);
  const daysUntil = (instant: Instant): number => first.until(dateAt(instant, timeZone), { largestUnit: 'days' }).days;
  const of = daysUntil(billing.end);
  // A clock set back over midnight shows a day again that was over.
  const within = (days: number): number => Math.min(Math.max(days, 0), of);
  return of > 0 ? { by: 'day', from: within(daysUntil(span.start)), to: within(daysUntil(span.end)), of } : undefined;
};

/** In the order of its members, whoever made it. */
export const prorationToJson = ({ by, from, to, of }: Proration): Proration => ({ by, from, to, of });

/** A number, and the part of the billing period in which it held; undefined is the whole. */
export type ProratedLevel = { readonly quantity: number; readonly proration: Proration | undefined };

/**
 * The numbers over a span, each with its part. Where there are several each has its part by time, also where the plan
 * charges nothing in part: else each would be charged whole.
 */
export const proratedLevels = (
  policy: ProrationPolicy,
  billing: Period,
  span: Period,
  timeZone: string,
  quantities: readonly QuantityLevel[] | undefined,
): readonly ProratedLevel[] => {
  const levels = quantities ?? [[span.start, 1] as const];
  const by = levels.length > 1 && policy === 'none' ? 'time' : policy;
  return levels.map(([start, quantity], index) => {
    const end = levels[index + 1]?.[0] ?? span.end;
    return { quantity, proration: prorationOf(by, billing, { start, end }, timeZone) };
  });
};
