/**
 * `<time>_after` and `<time>_before`: an instant as text -> one that PostgreSQL compares its own with, to the
 * microsecond.
 */
import { instantFromText } from '#schemas/instant.ts';

/**
 * RFC 3339 in the years 1970 to 9999, with at most 24 digits of a second. What is taken has `format: date-time`, too;
 * its leap seconds end a month of UTC.
 */
export const timeFilterPattern =
  '^(19[7-9][0-9]|[2-9][0-9]{3})-[0-9]{2}-[0-9]{2}[Tt]([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\\.[0-9]{1,24})?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$';
const yearMin = 1970;
const lastMs = Date.UTC(9999, 11, 31, 23, 59, 59, 999);
const lastText = '9999-12-31T23:59:59.999999Z';

/**
 * The text of a timestamptz, or what is wrong. PostgreSQL keeps microseconds, so `t > x` is `t > floor(x)` and `t < x`
 * is `t < ceil(x)`: finer digits are cut off for `after` and rounded up for `before`.
 */
export const readTimeFilter = (
  text: string,
  side: 'after' | 'before',
): string | { readonly code: string; readonly message: string } => {
  const instant = instantFromText(text);
  // In a query a plus sign is a blank, so an offset is often lost on its way.
  if (instant === undefined)
    return {
      code: 'wrong_format',
      message: 'must be an RFC 3339 date-time such as 2026-11-20T12:00:00Z; a plus sign is sent as %2B',
    };
  if (Number(text.slice(0, 4)) < yearMin)
    return { code: 'out_of_range', message: `must not be before the year ${yearMin}` };
  const fraction = (/\.(\d+)/.exec(text)?.[1] ?? '').padEnd(12, '0');
  const rest = side === 'before' && /[1-9]/.test(fraction.slice(6)) ? 1 : 0;
  const microseconds = Number(fraction.slice(3, 6)) + rest;
  const ms = instant + (microseconds === 1000 ? 1 : 0);
  // Its offset may lead out of the year 9999; nothing lies in between.
  if (ms > lastMs) return lastText;
  return `${new Date(ms).toISOString().slice(0, -1)}${String(microseconds % 1000).padStart(3, '0')}Z`;
};
