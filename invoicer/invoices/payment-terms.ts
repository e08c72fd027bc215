/** When an invoice is due. Pure. */
import type { Instant } from '#schemas/period.ts';

/**
 * So many days of the customer's calendar after its issue, at the same local time: over a change of the clocks that is
 * an hour more or less.
 */
export const dueAtOf = (issuedAt: Instant, days: number | null, timeZone: string): Instant | null =>
  days === null
    ? null
    : Temporal.Instant.fromEpochMilliseconds(issuedAt).toZonedDateTimeISO(timeZone).add({ days }).epochMilliseconds;
