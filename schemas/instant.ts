const shape = /^(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,24}))?(?:[Zz]|([+-])(\d\d):(\d\d))$/;

/** Whether a UTC month begins at that millisecond. */
const beginsMonth = (ms: number): boolean => ms % 86_400_000 === 0 && new Date(ms).getUTCDate() === 1;

/**
 * An RFC 3339 date-time as milliseconds since 1970, digits beyond them cut off (so an instant never moves into a later
 * period). Undefined for anything else: no zone, a day that the month does not have.
 *
 * Epoch milliseconds have no place for a leap second. One that may be (UTC adds them at the end of a month: RFC 3339,
 * 5.7) is taken as the second before, its fraction kept, so that it stays in its month and its billing period; whether
 * there was one in that month is known to nobody years ahead, and not asked.
 */
export const instantFromText = (text: string): number | undefined => {
  const match = shape.exec(text);
  if (!match) return undefined;
  const [, year, month, day, hour, minute, second, fraction = '', sign, offsetHour = '0', offsetMinute = '0'] = match;
  if (
    Number(hour) > 23 ||
    Number(minute) > 59 ||
    Number(second) > 60 ||
    Number(offsetHour) > 23 ||
    Number(offsetMinute) > 59
  )
    return undefined;
  const midnight = new Date(0);
  midnight.setUTCFullYear(Number(year), Number(month) - 1, Number(day));
  if (midnight.getUTCMonth() !== Number(month) - 1 || midnight.getUTCDate() !== Number(day)) return undefined;
  const isLeapSecond = second === '60';
  const ofMinute = isLeapSecond ? 59 : Number(second);
  const offset = (Number(offsetHour) * 60 + Number(offsetMinute)) * 60_000;
  const ofDay = Number(hour) * 3_600_000 + Number(minute) * 60_000 + ofMinute * 1000;
  const whole = midnight.getTime() + ofDay - (sign === '-' ? -offset : offset);
  if (isLeapSecond && !beginsMonth(whole + 1000)) return undefined;
  return whole + Number(fraction.padEnd(3, '0').slice(0, 3));
};

/** What `formatInstant` writes, of the years in which anything happens. */
export const instantPattern = '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z$';

/**
 * The one form in which answers write an instant: "2026-10-01T00:00:00.000Z". All are of one length, so they sort as
 * texts as they do as times.
 */
export const formatInstant = (instant: number | Date): string => new Date(instant).toISOString();
