/**
 * The use case of asking for a billing run: which month may be closed, and for whom. The run itself is the rater's and
 * the invoicer's.
 */
import { FailureError } from '#schemas/failures.ts';
import { formatPeriod, monthFromText, type Period } from '#schemas/period.ts';
import type { Db } from '../route/define-route.ts';
import { isTooEarly, isTooLate, refuseFaults } from '../route/resource-fields.ts';
import type { BillingRun, NewBillingRun } from './invoices.postgres.ts';

export type AskForRunPorts = {
  readonly customers: { readonly customerId: (db: Db, idOrExternalId: string) => Promise<string | undefined> };
  readonly subscriptions: {
    readonly subscription: (db: Db, id: string) => Promise<{ readonly customerId: string } | undefined>;
  };
  readonly invoices: { readonly addRun: (db: Db, run: NewBillingRun, now: Date) => Promise<BillingRun> };
};

type Asked = {
  /** A month, such as 2026-10. */
  readonly period: string;
  readonly customer_id?: string;
  readonly subscription_id?: string;
  readonly requestId: string;
  readonly apiKeyId: string;
};

/** A month that is over: what comes in it can still be told from what comes late. */
const endedMonth = (text: string, nowMs: number): Period => {
  const period = monthFromText(text);
  // The last month that can be written ends in a year that can't.
  if (!period || isTooEarly(period.start) || isTooLate(period.end)) {
    const message = 'must be a month from 2000-01 to 9999-11, such as 2026-10';
    throw new FailureError('VALIDATION_FAILED', undefined, [{ field: 'period', code: 'wrong_format', message }]);
  }
  if (period.end > nowMs) throw new FailureError('PERIOD_NOT_ENDED', `The period ends at ${formatPeriod(period).end}`);
  return period;
};

export const askForRun = async (
  { customers, subscriptions, invoices }: AskForRunPorts,
  db: Db,
  { period: month, customer_id: customer, subscription_id: subscriptionId, requestId, apiKeyId }: Asked,
  nowMs: number,
): Promise<BillingRun> => {
  const period = endedMonth(month, nowMs);
  const customerId = customer === undefined ? undefined : await customers.customerId(db, customer);
  if (customer !== undefined && customerId === undefined) throw new FailureError('CUSTOMER_NOT_FOUND');
  const subscription = subscriptionId === undefined ? undefined : await subscriptions.subscription(db, subscriptionId);
  if (subscriptionId !== undefined && !subscription) throw new FailureError('SUBSCRIPTION_NOT_FOUND');
  // It would bill nobody, and look as if all were billed.
  if (customerId !== undefined && subscription && subscription.customerId !== customerId)
    refuseFaults([
      {
        field: 'subscription_id',
        code: 'not_allowed',
        message: `is of the customer ${subscription.customerId}; leave one of the two out`,
      },
    ]);
  const run = {
    period,
    customerId: customerId ?? null,
    subscriptionId: subscriptionId ?? null,
    requestId,
    apiKeyId,
  };
  return invoices.addRun(db, run, new Date(nowMs));
};
