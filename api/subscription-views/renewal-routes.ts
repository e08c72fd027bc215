/** `/v1/subscriptions/{id}/renewal`. */
import assert from 'node:assert/strict';
import { SubscriptionRenewal } from '#schemas/http/subscription-views.ts';
import { SubscriptionId } from '#schemas/http/subscriptions.ts';
import { formatInstant } from '#schemas/instant.ts';
import type { DraftInvoice } from '#schemas/invoice.ts';
import type { Instant } from '#schemas/period.ts';
import { hourOf, subscriptionStateAt } from '#schemas/subscription-state.ts';
import { schedulesIn } from '../../rater/run/billable-periods.ts';
import type { CatalogStore } from '../catalog/catalog.postgres.ts';
import type { Db, Routes } from '../route/define-route.ts';
import { found } from '../route/resource-fields.ts';
import { totalsToJson } from '../route/totals-json.ts';
import { type TermPorts, termEnd } from '../subscriptions/cancel-subscription.ts';
import { changeJson } from '../subscriptions/subscription-json.ts';
import type { Subscription, SubscriptionStore } from '../subscriptions/subscriptions.postgres.ts';
import type { ReadUsage } from '../usage/usage.clickhouse.ts';
import type { ReadWatermark } from '../usage/watermark.postgres.ts';
import { type DrawUpPorts, drawUpInvoices, partsAsDrawn, payersOf } from './draw-up-invoices.ts';
import { type RatedPart, type RateUpcomingPorts, rateUpcoming } from './rate-upcoming.ts';
import type { UpcomingReader } from './upcoming.postgres.ts';
import { linesJson, unknownJson } from './upcoming-json.ts';
import { nextDueParts, renewsAt, type Upcoming, upcomingOf } from './upcoming-parts.ts';

export type RenewalPorts = RateUpcomingPorts &
  DrawUpPorts & {
    readonly upcoming: UpcomingReader;
    readonly subscriptions: SubscriptionStore;
    readonly catalog: Pick<CatalogStore, 'minimumTerm'>;
    readonly quotes: Pick<TermPorts, 'contractTerm'>;
    readonly readUsage: ReadUsage;
    readonly readWatermark: ReadWatermark;
  };

const upcomingJson = (subscription: Subscription, { at, kind, endAction, change }: Upcoming) => ({
  at: formatInstant(at),
  kind,
  end_action: endAction ?? null,
  change: change ? changeJson(subscription, change) : null,
});

/** What falls due next. */
type NextDue = {
  readonly dueAt: Instant;
  readonly parts: readonly RatedPart[];
  /** What the invoice sums without usage. */
  readonly known: DraftInvoice;
  /** And with it. */
  readonly whole: DraftInvoice;
};

/** Rated as of now; undefined where nothing falls due. */
const ratedNext = async (
  ports: RenewalPorts,
  db: Db,
  subscription: Subscription,
  at: { readonly watermark: bigint; readonly now: Instant },
): Promise<NextDue | undefined> => {
  const versions = await ports.upcoming.versions(db, [...subscription.planNames.keys()]);
  const cut = found((await ports.upcoming.cutTimes(db, [subscription])).get(subscription.id), 'SUBSCRIPTION_NOT_FOUND');
  const due = nextDueParts(subscription, schedulesIn(versions), cut);
  if (!due || due.length === 0) return undefined;
  const { externalId, oneTimeRows } = cut;
  const ahead = due.map((part) => ({ subscription, externalId, part, oneTimeRows }));
  const parts = await rateUpcoming(ports, db, ahead, versions, (query) =>
    ports.readUsage.measured({ ...query, tenant: db.organizationId, watermark: at.watermark }),
  );
  const [first] = parts as [RatedPart];
  const { id: payerId } = (await payersOf(ports, db, parts))(first);
  const withoutUsage = parts.map((part) => ({ ...part, ofUsage: [] }));
  const sets = [[{ payerId, parts: withoutUsage }], [{ payerId, parts }]];
  const [known, whole] = (await drawUpInvoices(ports, db, sets, at)).flat();
  assert(known && whole, 'each set has its invoice');
  const drawn = partsAsDrawn(parts, [whole]);
  return { dueAt: known.dueAt, parts: drawn, known: known.content, whole: whole.content };
};

const invoiceJson = ({ dueAt, parts, known }: NextDue) => ({
  due_at: formatInstant(dueAt),
  ...linesJson(parts, 'known', known.currency),
  ...totalsToJson(known, known.currency),
  unknown: unknownJson(parts),
});

const usageJson = ({ parts, whole }: NextDue, watermark: bigint) => ({
  watermark: watermark.toString(),
  ...linesJson(parts, 'ofUsage', whole.currency),
  ...totalsToJson(whole, whole.currency),
});

export const renewalRoutes = ({ get }: Routes, ports: RenewalPorts): void =>
  get(
    {
      url: '/v1/subscriptions/:id/renewal',
      operation: 'getSubscriptionRenewal',
      tag: 'Subscriptions',
      summary: 'What happens to a subscription next and when, and what it is billed then as of now',
      scope: 'read:subscriptions',
      params: SubscriptionId,
      answers: { 200: SubscriptionRenewal },
      failures: ['SUBSCRIPTION_NOT_FOUND'],
    },
    async ({ db, params, nowMs }) => {
      const subscription = found(await ports.subscriptions.subscription(db, params.id), 'SUBSCRIPTION_NOT_FOUND');
      const now = hourOf(subscription, nowMs);
      const { currency } = subscription;
      const watermark = await ports.readWatermark(db);
      const next = await ratedNext(ports, db, subscription, { watermark, now });
      const { minimumTerm } = ports.catalog;
      const { contractTerm } = ports.quotes;
      const termEndsAt = await termEnd({ minimumTerm, contractTerm }, db, subscription, now);
      const renewal = renewsAt(subscription, now);
      return {
        subscription_id: subscription.id,
        customer_id: subscription.customerId,
        state: subscriptionStateAt(subscription, now),
        as_of: formatInstant(now),
        currency,
        renews_at: renewal === null ? null : formatInstant(renewal),
        upcoming: upcomingOf(subscription, now, next?.dueAt, termEndsAt).map((one) => upcomingJson(subscription, one)),
        next_invoice: next ? invoiceJson(next) : null,
        usage: next ? usageJson(next, watermark) : null,
      };
    },
  );
