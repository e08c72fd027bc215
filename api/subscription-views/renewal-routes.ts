/** `/v1/subscriptions/{id}/renewal`. */
import { SubscriptionRenewal } from '#schemas/http/subscription-views.ts';
import { SubscriptionId } from '#schemas/http/subscriptions.ts';
import { formatInstant } from '#schemas/instant.ts';
import type { Instant } from '#schemas/period.ts';
import { hourOf, subscriptionStateAt } from '#schemas/subscription-state.ts';
import { schedulesIn } from '../../rater/run/billable-periods.ts';
import type { CatalogStore } from '../catalog/catalog.postgres.ts';
import type { Db, Routes } from '../route/define-route.ts';
import { found } from '../route/resource-fields.ts';
import { type TermPorts, termEnd } from '../subscriptions/cancel-subscription.ts';
import { changeJson } from '../subscriptions/subscription-json.ts';
import type { Subscription, SubscriptionStore } from '../subscriptions/subscriptions.postgres.ts';
import type { ReadUsage } from '../usage/usage.clickhouse.ts';
import type { ReadWatermark } from '../usage/watermark.postgres.ts';
import { type RatedPart, type RateUpcomingPorts, rateUpcoming } from './rate-upcoming.ts';
import type { UpcomingReader } from './upcoming.postgres.ts';
import { amountsOf, linesJson, totalText, unknownJson } from './upcoming-json.ts';
import { nextDueParts, renewsAt, type Upcoming, upcomingOf } from './upcoming-parts.ts';

export type RenewalPorts = RateUpcomingPorts & {
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

/** What falls due next, rated as of now; undefined where nothing does. */
const ratedNext = async (
  ports: RenewalPorts,
  db: Db,
  subscription: Subscription,
  watermark: bigint,
): Promise<{ readonly dueAt: Instant; readonly parts: readonly RatedPart[] } | undefined> => {
  const versions = await ports.upcoming.versions(db, [...subscription.planNames.keys()]);
  const cut = found((await ports.upcoming.cutTimes(db, [subscription])).get(subscription.id), 'SUBSCRIPTION_NOT_FOUND');
  const due = nextDueParts(subscription, schedulesIn(versions), cut);
  const [first] = due ?? [];
  if (!due || !first) return undefined;
  const { externalId, oneTimeRows } = cut;
  const ahead = due.map((part) => ({ subscription, externalId, part, oneTimeRows }));
  const parts = await rateUpcoming(ports, db, ahead, versions, (query) =>
    ports.readUsage.measured({ ...query, tenant: db.organizationId, watermark }),
  );
  return { dueAt: first.dueAt, parts };
};

const invoiceJson = (dueAt: Instant, parts: readonly RatedPart[], currency: string) => ({
  due_at: formatInstant(dueAt),
  ...linesJson(parts, 'known', currency),
  unknown: unknownJson(parts),
});

const usageJson = (parts: readonly RatedPart[], currency: string, watermark: bigint) => ({
  watermark: watermark.toString(),
  ...linesJson(parts, 'ofUsage', currency),
  total: totalText([...amountsOf(parts, 'known'), ...amountsOf(parts, 'ofUsage')], currency),
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
      const next = await ratedNext(ports, db, subscription, watermark);
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
        next_invoice: next ? invoiceJson(next.dueAt, next.parts, currency) : null,
        usage: next ? usageJson(next.parts, currency, watermark) : null,
      };
    },
  );
