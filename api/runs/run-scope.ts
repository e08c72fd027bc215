/** What a run is of: which month, and whose. */
import { FailureError, type Fault } from '#schemas/failures.ts';
import { formatPeriod, monthFromText, type Period } from '#schemas/period.ts';
import type { Db } from '../route/define-route.ts';
import { isTooEarly, refuseFaults } from '../route/resource-fields.ts';

export type RunScopePorts = {
  readonly customers: { readonly customerId: (db: Db, idOrExternalId: string) => Promise<string | undefined> };
  readonly subscriptions: {
    readonly subscription: (db: Db, id: string) => Promise<{ readonly customerId: string } | undefined>;
  };
};

export type AskedScope = { readonly customer_id?: string; readonly subscription_id?: string };

type Whom = { readonly customerId: string | null; readonly subscriptionId: string | null };

const refusePeriod = (code: Fault['code'], message: string): void => refuseFaults([{ field: 'period', code, message }]);

const monthAsked = (text: string): Period => {
  const period = monthFromText(text);
  if (period && !isTooEarly(period.start)) return period;
  const message = 'must be a month from 2000-01 on, such as 2026-10';
  throw new FailureError('VALIDATION_FAILED', undefined, [{ field: 'period', code: 'wrong_format', message }]);
};

/** A month that is over: what comes in it can still be told from what comes late. */
export const endedMonth = (text: string, nowMs: number): Period => {
  const period = monthAsked(text);
  if (period.end > nowMs) throw new FailureError('PERIOD_NOT_ENDED', `The period ends at ${formatPeriod(period).end}`);
  return period;
};

export const begunMonth = (text: string, nowMs: number): Period => {
  const period = monthAsked(text);
  if (period.start > nowMs) refusePeriod('out_of_range', 'must be a month that has begun');
  return period;
};

export const whomOf = async (
  { customers, subscriptions }: RunScopePorts,
  db: Db,
  { customer_id: customer, subscription_id: subscriptionId }: AskedScope,
): Promise<Whom> => {
  const customerId = customer === undefined ? undefined : await customers.customerId(db, customer);
  if (customer !== undefined && customerId === undefined) throw new FailureError('CUSTOMER_NOT_FOUND');
  const subscription = subscriptionId === undefined ? undefined : await subscriptions.subscription(db, subscriptionId);
  if (subscriptionId !== undefined && !subscription) throw new FailureError('SUBSCRIPTION_NOT_FOUND');
  // It would be a run of nobody, and look as if all were done.
  if (customerId !== undefined && subscription && subscription.customerId !== customerId)
    refuseFaults([
      {
        field: 'subscription_id',
        code: 'not_allowed',
        message: `is of the customer ${subscription.customerId}; leave one of the two out`,
      },
    ]);
  return { customerId: customerId ?? null, subscriptionId: subscriptionId ?? null };
};
