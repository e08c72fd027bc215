/**
 * What invoices of a customer, or of a subscription, would be, as of now: what falls due next, or until an instant, by
 * the rules and over the prices and the usage of the rater. Nothing is written.
 */
import { dueParts, rememberedPeriods } from '#schemas/due-parts.ts';
import { FailureError } from '#schemas/failures.ts';
import type { Instant } from '#schemas/period.ts';
import { schedulesIn } from '../../rater/run/billable-periods.ts';
import type { Db } from '../route/define-route.ts';
import {
  type DrawUpPorts,
  drawUpInvoices,
  type InvoiceAhead,
  payersOf,
} from '../subscription-views/draw-up-invoices.ts';
import { dueTogether } from '../subscription-views/due-together.ts';
import { type RateUpcomingPorts, rateUpcoming, type UpcomingPart } from '../subscription-views/rate-upcoming.ts';
import type { UpcomingReader } from '../subscription-views/upcoming.postgres.ts';
import { cutAfter, nextDueParts } from '../subscription-views/upcoming-parts.ts';
import { aheadOf, waitingParts } from '../subscription-views/waiting-parts.ts';
import type { Subscription } from '../subscriptions/subscriptions.postgres.ts';
import type { ReadUsage } from '../usage/usage.clickhouse.ts';
import type { ReadWatermark } from '../usage/watermark.postgres.ts';

export type PreviewPorts = RateUpcomingPorts &
  DrawUpPorts & {
    readonly upcoming: UpcomingReader;
    readonly readUsage: ReadUsage;
    readonly readWatermark: ReadWatermark;
  };

/** More are rated by a run, and not while somebody waits. */
export const previewedPartsMax = 2_000;

/** What of the subscriptions is not written down: what falls due first, or all until `at`. */
const partsAhead = async (
  { upcoming }: PreviewPorts,
  db: Db,
  subscriptions: readonly Subscription[],
  at: Instant | undefined,
) => {
  const versions = await upcoming.versions(db, [...new Set(subscriptions.flatMap((one) => [...one.planNames.keys()]))]);
  const cuts = await upcoming.cutTimes(db, subscriptions);
  const schedulesOf = schedulesIn(versions);
  const periodsIn = rememberedPeriods();
  const ahead = subscriptions.flatMap((subscription): UpcomingPart[] => {
    const cut = cuts.get(subscription.id);
    if (!cut) return [];
    const { externalIds, oneTimeRows, oneTimeCharges, written } = cut;
    const from = cutAfter(subscription, cut.cutUntil);
    const parts =
      at === undefined
        ? (nextDueParts(subscription, schedulesOf, cut) ?? [])
        : at <= from
          ? []
          : dueParts({ ...subscription, oneTimeCharges }, schedulesOf, written, { start: from, end: at }, periodsIn);
    return aheadOf({ ...subscription, oneTimeCharges }, schedulesOf, { externalIds, oneTimeRows }, parts);
  });
  const first = Math.min(...ahead.map(({ part }) => part.dueAt));
  const shown = at === undefined ? ahead.filter(({ part }) => part.dueAt === first) : ahead;
  const waiting = await waitingParts(upcoming, db, subscriptions, cuts, schedulesOf);
  return { versions, ahead: [...shown, ...waiting] };
};

/** In the order in which they fall due. */
export const previewInvoices = async (
  ports: PreviewPorts,
  db: Db,
  subscriptions: readonly Subscription[],
  at: Instant | undefined,
  now: Instant,
): Promise<{ readonly watermark: bigint; readonly invoices: readonly InvoiceAhead[] }> => {
  const watermark = await ports.readWatermark(db);
  const { versions, ahead } = await partsAhead(ports, db, subscriptions, at);
  if (ahead.length > previewedPartsMax)
    throw new FailureError('VALIDATION_FAILED', undefined, [
      {
        field: at === undefined ? 'customer_id' : 'at',
        code: 'out_of_range',
        message: `would bill ${ahead.length} billing periods, and at most ${previewedPartsMax} are previewed: name one subscription, or an earlier instant`,
      },
    ]);
  const rated = await rateUpcoming(ports, db, ahead, versions, (query) =>
    ports.readUsage.measured({ ...query, tenant: db.organizationId, watermark }),
  );
  const payerOf = await payersOf(ports, db, rated);
  const [invoices = []] = await drawUpInvoices(ports, db, [dueTogether(rated, payerOf)], { watermark, now });
  return { watermark, invoices };
};
