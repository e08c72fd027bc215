/**
 * Cursors of usage: signed like those of lists, and bound to organization, meter and query. A cursor carries the moment
 * that its first page settled (period, watermark, version of the meter) beside the place of the last row, so that all
 * pages are of one moment, whatever arrives or changes meanwhile. Pure.
 */
import type { Instant, Period } from '#schemas/period.ts';
import { periodOf } from '#schemas/period.ts';
import { type Cursors, cursorCharsMax } from '../route/cursors.ts';
import type { SettledUsage, Texts } from './usage-asked.ts';

type UsagePlace = { readonly windowStart: Instant | null; readonly group: readonly (string | null)[] };
type UsageMoment = SettledUsage & {
  readonly meterVersion: number;
  /** How many renames there had been: of names that customers were given since, usage is not theirs on these pages. */
  readonly renames: number;
};
export type UsagePosition = { readonly moment: UsageMoment; readonly after: UsagePlace };

/** What of a query a page may change: how many rows, in which form, and with what beside. */
const ofPage = ['cursor', 'limit', 'format', 'explain'];

export const scopeOf = (organizationId: string, meterId: string, texts: Texts): string =>
  JSON.stringify([
    'usage',
    organizationId,
    meterId,
    [...texts].filter(([name]) => !ofPage.includes(name)).sort(([a], [b]) => (a < b ? -1 : 1)),
  ]);

/** 16 bytes of code in front, and four characters for three bytes. */
const positionBytesMax = Math.floor(cursorCharsMax / 4) * 3 - 64;

/** Undefined where a text by which was grouped is too long to go on behind. */
export const usageCursor = (cursors: Cursors, scope: string, { moment, after }: UsagePosition): string | undefined => {
  const { period, watermark, meterVersion, renames } = moment;
  const position = {
    value: JSON.stringify([period.start, period.end, watermark.toString(), meterVersion, renames]),
    id: JSON.stringify([after.windowStart, ...after.group]),
  };
  return Buffer.byteLength(JSON.stringify([position.value, position.id])) > positionBytesMax
    ? undefined
    : cursors.sign(scope, position);
};

/** Undefined for any text but one that was given for this scope. */
export const readUsageCursor = (cursors: Cursors, scope: string, cursor: string): UsagePosition | undefined => {
  const position = cursors.read(scope, cursor);
  if (!position) return undefined;
  // Under our own code it is what `usageCursor` wrote.
  type Value = [Instant, Instant, string, number, number?];
  // One of a release before customers were renamed has no number of renames.
  const [start, end, watermark, meterVersion, renames = 0] = JSON.parse(position.value) as Value;
  const [windowStart, ...group] = JSON.parse(position.id) as [Instant | null, ...(string | null)[]];
  const period: Period = periodOf(start, end);
  return { moment: { period, watermark: BigInt(watermark), meterVersion, renames }, after: { windowStart, group } };
};
