const shape = /^(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,12}))?(?:[Zz]|([+-])(\d\d):(\d\d))$/;

/**
 * An RFC 3339 date-time as milliseconds since 1970, digits beyond them cut off (so an instant never moves into a later period).
 * Undefined for anything else: no zone, a day that the month does not have, a leap second (which the time scale of this product has no place for).
 */
export const instantFromText = (text: string): number | undefined => {
  const match = shape.exec(text);
  if (!match) return undefined;
  const [, year, month, day, hour, minute, second, fraction = '', sign, offsetHour = '0', offsetMinute = '0'] = match;
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59 || Number(offsetHour) > 23 || Number(offsetMinute) > 59)
    return undefined;
  const midnight = new Date(0);
  midnight.setUTCFullYear(Number(year), Number(month) - 1, Number(day));
  if (midnight.getUTCMonth() !== Number(month) - 1 || midnight.getUTCDate() !== Number(day)) return undefined;
  const ofDay = Number(hour) * 3_600_000 + Number(minute) * 60_000 + Number(second) * 1000 + Number(fraction.padEnd(3, '0').slice(0, 3));
  const offset = (Number(offsetHour) * 60 + Number(offsetMinute)) * 60_000;
  return midnight.getTime() + ofDay - (sign === '-' ? -offset : offset);
};

/** What `formatInstant` writes, of the years in which anything happens. */
export const instantPattern = '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z$';

/** The one form in which answers write an instant: "2026-10-01T00:00:00.000Z". All are of one length, so they sort as texts as they do as times. */
export const formatInstant = (instant: number | Date): string => new Date(instant).toISOString();
