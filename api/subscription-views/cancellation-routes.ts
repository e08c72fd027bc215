/** `/v1/cancellations`. */
import assert from 'node:assert/strict';
import type { Currency } from '#schemas/currency.ts';
import { SubscriptionCancellationView } from '#schemas/http/subscription-views.ts';
import { formatInstant } from '#schemas/instant.ts';
import type { InvoiceTotals } from '#schemas/invoice.ts';
import type { Instant } from '#schemas/period.ts';
import { hourOf } from '#schemas/subscription-state.ts';
import { cancellationStateAt } from '#schemas/subscription-views.ts';
import { totalsOf } from '../../invoicer/invoices/invoice-totals.ts';
import { schedulesIn } from '../../rater/run/billable-periods.ts';
import type { Db, Routes } from '../route/define-route.ts';
import { listJson, listSchema } from '../route/lists.ts';
import { totalsToJson } from '../route/totals-json.ts';
import type { Subscription } from '../subscriptions/subscriptions.postgres.ts';
import type { CancellationReader } from './cancellations.postgres.ts';
import { type DrawUpPorts, drawUpInvoices, partsAsDrawn, payersOf } from './draw-up-invoices.ts';
import { type RatedPart, type RateUpcomingPorts, rateUpcoming } from './rate-upcoming.ts';
import type { UpcomingReader } from './upcoming.postgres.ts';
import { linesJson, unknownJson } from './upcoming-json.ts';
import { lastDueParts } from './upcoming-parts.ts';

export type CancellationPorts = RateUpcomingPorts &
  DrawUpPorts & {
    readonly upcoming: UpcomingReader;
    readonly cancellations: CancellationReader;
  };

type Ended = Subscription & { readonly endedAt: Instant; readonly canceledAt: Instant };

const isEnded = (subscription: Subscription): subscription is Ended =>
  subscription.endedAt !== null && subscription.canceledAt !== null;

type LastDue = { readonly parts: readonly RatedPart[]; readonly totals: InvoiceTotals };

const nothingDue: LastDue = { parts: [], totals: totalsOf([]) };

/** What falls due when the cancellations take effect, as far as it is known without usage: by subscription. */
const ratedLast = async (
  ports: CancellationPorts,
  db: Db,
  scheduled: readonly Ended[],
): Promise<ReadonlyMap<string, LastDue>> => {
  if (scheduled.length === 0) return new Map();
  const ids = new Set(scheduled.flatMap(({ planNames }) => [...planNames.keys()]));
  const versions = await ports.upcoming.versions(db, [...ids]);
  const cuts = await ports.upcoming.cutTimes(db, scheduled);
  const schedulesOf = schedulesIn(versions);
  const ahead = scheduled.flatMap((subscription) => {
    const cut = cuts.get(subscription.id);
    if (!cut) return [];
    const { externalId, oneTimeRows } = cut;
    return lastDueParts(subscription, schedulesOf, cut).map((part) => ({
      subscription,
      externalId,
      part,
      oneTimeRows,
    }));
  });
  const rated = await rateUpcoming(ports, db, ahead, versions);
  const payerOf = await payersOf(ports, db, rated);
  // Each by itself: what the others of the page come to is of no concern to it.
  const groups = [...Map.groupBy(rated, ({ subscription }) => subscription.id)];
  const sets = groups.map(([, parts]) => [{ payerId: payerOf(parts[0] as RatedPart).id, parts }]);
  // All of it lies ahead, by whatever clock its subscription lives.
  const drawn = (await drawUpInvoices(ports, db, sets, { watermark: 0n, now: 0 })).flat();
  return new Map(
    groups.map(([id, parts], index) => [
      id,
      { parts: partsAsDrawn(parts, drawn), totals: drawn[index]?.content ?? nothingDue.totals },
    ]),
  );
};

const cancellationJson = (
  subscription: Ended,
  now: Instant,
  { parts, totals }: LastDue,
  invoiceIds: readonly string[],
) => {
  const state = cancellationStateAt(subscription.endedAt, now);
  const { currency } = subscription;
  return {
    subscription_id: subscription.id,
    customer_id: subscription.customerId,
    state,
    reason: subscription.cancellationReason,
    requested_at: formatInstant(subscription.canceledAt),
    effective_at: formatInstant(subscription.endedAt),
    refund: subscription.cancellationRefund ?? 'prorated',
    final_usage: subscription.finalUsage ?? 'billed',
    final_invoice: {
      currency,
      renewal: state === 'scheduled' ? `/v1/subscriptions/${subscription.id}/renewal` : null,
      ...linesJson(parts, 'known', currency),
      ...totalsToJson(totals, currency as Currency),
      unknown: unknownJson(parts),
      invoice_ids: invoiceIds,
    },
  };
};

export const cancellationRoutes = ({ list }: Routes, ports: CancellationPorts): void =>
  list(
    {
      url: '/v1/cancellations',
      operation: 'listCancellations',
      tag: 'Subscriptions',
      summary: 'List cancellations of subscriptions, by when they take effect',
      scope: 'read:subscriptions',
      list: ports.cancellations.cancellationList,
      answers: { 200: listSchema(SubscriptionCancellationView) },
      failures: [],
    },
    async ({ db, query, nowMs }) => {
      const page = await ports.cancellations.cancellations(db, query);
      const rows = page.rows.filter(isEnded);
      assert.equal(rows.length, page.rows.length, 'the list is of those that are canceled');
      const isEffective = (row: Ended) => row.endedAt <= hourOf(row, nowMs);
      const rated = await ratedLast(
        ports,
        db,
        rows.filter((row) => !isEffective(row)),
      );
      const billed = await ports.cancellations.finalInvoices(db, rows.filter(isEffective));
      return listJson(query, { ...page, rows }, (row) =>
        cancellationJson(row, hourOf(row, nowMs), rated.get(row.id) ?? nothingDue, billed.get(row.id) ?? []),
      );
    },
  );
