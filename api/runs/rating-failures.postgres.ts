/** The billing periods that a run could not rate. */
import type { Instant } from '#schemas/period.ts';
import { type RatingFailureCode, ratingFailureCodes } from '#schemas/rating-failure.ts';
import type { Db } from '../route/define-route.ts';
import { listRows } from '../route/list-rows.postgres.ts';
import { customerFilter, defineList, type ListPage } from '../route/lists.ts';

export type ListedFailure = {
  readonly id: string;
  readonly billingPeriodId: string;
  readonly subscriptionId: string;
  readonly customerId: string;
  readonly code: RatingFailureCode;
  readonly message: string;
  readonly failedAt: Instant;
};

type FailureRow = {
  id: string;
  billing_period_id: string;
  subscription_id: string;
  customer_id: string;
  code: RatingFailureCode;
  message: string;
  failed_at: Date;
};

const failureList = defineList({
  name: 'rating-failures',
  columns: 'id, billing_period_id, subscription_id, customer_id, code, message, failed_at',
  from: 'rating_failures',
  id: 'id',
  organization: 'organization_id',
  sorts: { failed_at: { column: 'failed_at', type: 'timestamptz' } },
  defaultSort: 'failed_at',
  filters: {
    customer_id: customerFilter('customer_id'),
    subscription_id: { column: 'subscription_id' },
    code: { column: 'code', choices: ratingFailureCodes },
  },
});

export const ratingFailures = {
  failureList,
  ofRun: async (db: Db, runId: string, page: ListPage) => {
    const { rows, ...rest } = await listRows<FailureRow>(db, failureList, db.organizationId, page, { run_id: runId });
    const failures = rows.map(
      (row): ListedFailure => ({
        id: row.id,
        billingPeriodId: row.billing_period_id,
        subscriptionId: row.subscription_id,
        customerId: row.customer_id,
        code: row.code,
        message: row.message,
        failedAt: row.failed_at.getTime(),
      }),
    );
    return { ...rest, rows: failures };
  },
};

export type RatingFailures = typeof ratingFailures;
