/** From when on what was used of an allowance counts. Pure. */
import type { Reset } from '#schemas/entitlement.ts';
import type { Instant } from '#schemas/period.ts';
import type { SubscriptionTime } from '#schemas/subscription.ts';

/** Half-open; `end` is null where it never begins anew. */
export type ResetPeriod = { readonly start: Instant; readonly end: Instant | null };

type Span = { readonly first: Temporal.PlainDate; readonly next: Temporal.PlainDate };

/** The span of the calendar that holds the day; billing periods are calendar months. */
const spanOf = (day: Temporal.PlainDate, reset: Exclude<Reset, 'never'>): Span => {
  const from = (first: Temporal.PlainDate, length: Temporal.DurationLike): Span => ({ first, next: first.add(length) });
  switch (reset) {
    case 'day':
      return from(day, { days: 1 });
    case 'week':
      return from(day.subtract({ days: day.dayOfWeek - 1 }), { weeks: 1 });
    case 'month':
    case 'billing_period':
      return from(day.with({ day: 1 }), { months: 1 });
    case 'quarter':
      return from(day.with({ day: 1, month: day.month - ((day.month - 1) % 3) }), { months: 3 });
    case 'year':
      return from(day.with({ day: 1, month: 1 }), { years: 1 });
  }
};

/** The one that holds `now`, in UTC, as far as the subscription covers it. */
export const resetPeriodOf = (reset: Reset, { startedAt, endedAt }: SubscriptionTime, now: Instant): ResetPeriod => {
  if (reset === 'never') return { start: startedAt, end: endedAt };
  const day = Temporal.Instant.fromEpochMilliseconds(now).toZonedDateTimeISO('UTC').toPlainDate();
  const { first, next } = spanOf(day, reset);
  const [start, end] = [first, next].map((one) => one.toZonedDateTime('UTC').epochMilliseconds) as [Instant, Instant];
  return { start: Math.max(start, startedAt), end: Math.min(end, endedAt ?? end) };
};
