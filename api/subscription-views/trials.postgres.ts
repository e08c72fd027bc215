/** Subscriptions that have or had a trial, by its end. */
import { type TrialStatus, trialStatuses } from '#schemas/subscription-views.ts';
import type { Db } from '../route/define-route.ts';
import { listRows } from '../route/list-rows.postgres.ts';
import { customerFilter, defineList, type ListPage } from '../route/lists.ts';
import { earliestHour, hourFilter, type Near, planFilter } from '../subscriptions/subscription-filters.ts';
import {
  type SubscriptionRow,
  subscriptionColumns,
  subscriptionFromRow,
  subscriptionsFrom,
} from '../subscriptions/subscriptions.postgres.ts';

const isCanceled = (hour: string): string => `(s.ended_at <= ${hour} AND s.ended_at < s.trial_ends_at)`;

/** As `trialStatusAt` has it, of `s` at an instant. */
export const isInTrialStatus: Readonly<Record<TrialStatus, (hour: string) => string>> = {
  pending: (hour) => `(s.started_at > ${hour} AND ${isCanceled(hour)} IS NOT TRUE)`,
  running: (hour) => `(s.trial_ends_at > ${hour} AND s.started_at <= ${hour} AND ${isCanceled(hour)} IS NOT TRUE)`,
  ended: (hour) => `(s.trial_ends_at <= ${hour} AND s.started_at <= ${hour} AND ${isCanceled(hour)} IS NOT TRUE)`,
  canceled: isCanceled,
};

const near: Near<TrialStatus> = {
  pending: { condition: `s.started_at > ${earliestHour}`, order: 's.started_at DESC' },
  running: { condition: `s.trial_ends_at > ${earliestHour}`, order: 's.trial_ends_at DESC' },
  canceled: { also: 's.ended_at < s.trial_ends_at', order: 's.trial_ends_at DESC, s.id DESC' },
};

const trialList = defineList({
  name: 'trials',
  columns: subscriptionColumns,
  from: subscriptionsFrom,
  countFrom: 'subscriptions s',
  condition: 's.trial_ends_at IS NOT NULL',
  id: 's.id',
  organization: 's.organization_id',
  gathersFirst: true,
  sorts: { ends_at: { column: 's.trial_ends_at', type: 'timestamptz' } },
  defaultSort: '-ends_at',
  filters: {
    customer_id: customerFilter('s.customer_id'),
    plan: planFilter,
    status: hourFilter(trialStatuses, isInTrialStatus, near),
  },
  times: { ends_at: 's.trial_ends_at' },
});

export const trialReader = {
  trialList,
  trials: async (db: Db, page: ListPage) => {
    const { rows, ...rest } = await listRows<SubscriptionRow>(db, trialList, db.organizationId, page);
    return { ...rest, rows: rows.map(subscriptionFromRow) };
  },
};

export type TrialReader = typeof trialReader;
