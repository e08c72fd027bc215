/** When an invoice is due. Pure. */
import type { Instant } from '#schemas/period.ts';

/**
 * So many days of the customer's calendar after its issue, at the same local time: over a change of the clocks that is
 * an hour more or less. Without terms it is due on receipt: with its issue.
 */
export const dueAtOf = (issuedAt: Instant, days: number | null, timeZone: string): Instant =>
  days === null
    ? issuedAt
    : Temporal.Instant.fromEpochMilliseconds(issuedAt).toZonedDateTimeISO(timeZone).add({ days }).epochMilliseconds;
