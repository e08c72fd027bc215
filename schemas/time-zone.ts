/** IANA time zones by their names. Pure. */
import type { Fault } from '#schemas/fault.ts';

/** What can be an IANA name; an offset such as +01:00 is none, as it has no daylight saving. */
const timeZonePattern = '^[A-Za-z][A-Za-z0-9_+-]{0,31}(/[A-Za-z0-9_+-]{1,31}){0,2}$';
const timeZoneShape = new RegExp(timeZonePattern);

/** The zone by its name in the letters that the database has, or undefined where it has none. */
export const timeZoneFromText = (text: string): string | undefined => {
  if (!timeZoneShape.test(text)) return undefined;
  try {
    return new Temporal.ZonedDateTime(0n, text).timeZoneId;
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
};

/** Of a name that no zone has. */
export const timeZoneFault = (field: string): Fault => ({
  field,
  code: 'not_allowed',
  message: 'must be an IANA time zone such as Europe/Berlin, America/New_York or UTC',
});
