/** RFC 3339 date-times from their bytes, by the rules of schemas/instant.ts. */

const pair = (body: Buffer, at: number): number => {
  const tens = (body[at] as number) - 0x30;
  const ones = (body[at + 1] as number) - 0x30;
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? 10 * tens + ones : Number.NaN;
};

/**
 * Days since 1970 of a date of the Gregorian calendar (Howard Hinnant, "chrono-compatible low-level date algorithms",
 * days_from_civil).
 */
const daysOf = (year: number, month: number, day: number): number => {
  const shifted = month <= 2 ? year - 1 : year;
  const era = Math.floor(shifted / 400);
  const ofEra = shifted - era * 400;
  const ofYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  return era * 146_097 + ofEra * 365 + Math.floor(ofEra / 4) - Math.floor(ofEra / 100) + ofYear - 719_468;
};

const monthDays = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] as const;

const daysOfMonth = (year: number, month: number): number =>
  month === 2 && year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : (monthDays[month - 1] ?? 0);

/**
 * Milliseconds since 1970 of the text between `from` and `to`; NaN for anything that `instantFromText` might read in
 * another way, leap seconds among it.
 */
export const plainInstant = (body: Buffer, from: number, to: number): number => {
  if (to - from < 20 || body[from + 4] !== 0x2d || body[from + 7] !== 0x2d || body[from + 10] !== 0x54)
    return Number.NaN;
  if (body[from + 13] !== 0x3a || body[from + 16] !== 0x3a) return Number.NaN;
  const year = 100 * pair(body, from) + pair(body, from + 2);
  const month = pair(body, from + 5);
  const day = pair(body, from + 8);
  const hour = pair(body, from + 11);
  const minute = pair(body, from + 14);
  const second = pair(body, from + 17);
  if (!(year >= 0 && day >= 1 && day <= daysOfMonth(year, month) && hour <= 23 && minute <= 59 && second <= 59))
    return Number.NaN;
  let at = from + 19;
  let milliseconds = 0;
  if (body[at] === 0x2e) {
    at += 1;
    const fraction = at;
    for (; at < to; at += 1) {
      const digit = (body[at] as number) - 0x30;
      if (digit < 0 || digit > 9) break;
      if (at - fraction < 3) milliseconds += digit * (at === fraction ? 100 : at === fraction + 1 ? 10 : 1);
    }
    if (at === fraction || at - fraction > 24) return Number.NaN;
  }
  const instant =
    daysOf(year, month, day) * 86_400_000 + hour * 3_600_000 + minute * 60_000 + second * 1000 + milliseconds;
  const zone = body[at];
  if (zone === 0x5a) return at + 1 === to ? instant : Number.NaN;
  if ((zone !== 0x2b && zone !== 0x2d) || at + 6 !== to || body[at + 3] !== 0x3a) return Number.NaN;
  const zoneHour = pair(body, at + 1);
  const zoneMinute = pair(body, at + 4);
  if (!(zoneHour <= 23 && zoneMinute <= 59)) return Number.NaN;
  const offset = (60 * zoneHour + zoneMinute) * 60_000;
  return zone === 0x2b ? instant - offset : instant + offset;
};
