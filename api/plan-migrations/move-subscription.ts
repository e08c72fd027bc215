/**
 * What becomes of one subscription in a migration: the change of its plan as `change-plan` makes it, or the reason why
 * it stays as it is.
 */
import { FailureError } from '#schemas/failures.ts';
import type { Instant } from '#schemas/period.ts';
import type { MoveOutcome, SkipReason } from '#schemas/plan-migration.ts';
import { subscriptionStateAt, termsNow } from '#schemas/subscription-state.ts';
import type { Db } from '../route/define-route.ts';
import { decidePlanChange, type PlanChangePorts } from '../subscriptions/change-subscription-plan.ts';
import type { LedgerChanges } from '../subscriptions/subscription-changes.postgres.ts';
import type { Subscription } from '../subscriptions/subscriptions.postgres.ts';
import type { PlanMigration } from './plan-migrations.postgres.ts';

export type MoveAsked = Pick<PlanMigration, 'fromVersionIds' | 'toPlanId' | 'toVersionId' | 'at' | 'bills'>;

/** The version that is moved to is active no more: nobody can be moved to it. */
export class TargetGoneError extends Error {
  override readonly name = 'TargetGoneError';
}

export type MoveDecision =
  | { readonly outcome: 'moved' | 'scheduled'; readonly decided: LedgerChanges; readonly effectiveAt: Instant }
  | { readonly outcome: 'skipped'; readonly reason: SkipReason; readonly detail: string };

/** What became of a subscription, as it is written down. */
export type MoveResult = {
  readonly subscriptionId: string;
  readonly customerId: string;
  readonly fromVersionId: string;
  readonly outcome: MoveOutcome;
  readonly reason?: SkipReason;
  readonly detail?: string;
  readonly made?: { readonly changeId: string; readonly effectiveAt: Instant };
};

const skipped = (reason: SkipReason, detail: string): MoveDecision => ({ outcome: 'skipped', reason, detail });

/** By what `decidePlanChange` refuses. */
const reasonOf = ({ code, faults }: FailureError): SkipReason | undefined => {
  switch (code) {
    case 'SUBSCRIPTION_ADD_ON_MISFIT':
      return 'add_on_misfit';
    case 'SUBSCRIPTION_ALREADY_ACTIVE':
      return 'already_has_plan';
    case 'SUBSCRIPTION_CHANGE_PENDING':
    // It comes to the version by a change that lies ahead.
    case 'SUBSCRIPTION_UNCHANGED':
      return 'change_pending';
    case 'SUBSCRIPTION_STATE_CONFLICT':
      return 'over';
    case 'VALIDATION_FAILED':
      return faults.some(({ code: fault }) => fault === 'not_priced') ? 'currency_not_priced' : 'ends_before';
    default:
      return undefined;
  }
};

const detailOf = ({ code, detail, faults }: FailureError): string =>
  faults.length > 0 ? faults.map(({ field, message }) => `${field} ${message}`).join('; ') : (detail ?? code);

/** Where the subscription has none of the versions, or is over: it was changed since it was found. */
const reasonBefore = (
  subscription: Subscription,
  { fromVersionIds }: MoveAsked,
  now: Instant,
): MoveDecision | undefined => {
  const state = subscriptionStateAt(subscription, now);
  if (state === 'canceled' || state === 'ended') return skipped('over', `The subscription is ${state}.`);
  if (fromVersionIds.includes(termsNow(subscription, now).planVersionId)) return undefined;
  const ahead = subscription.changes.find(
    (one) => one.kind === 'plan' && one.effectiveAt > now && fromVersionIds.includes(one.planVersionId),
  );
  return ahead
    ? skipped('change_pending', `It comes to the version by the change ${ahead.id}, which lies ahead.`)
    : skipped('changed_meanwhile', 'The subscription has another version by now.');
};

/** Under the lock of the subscription, where it is to be changed. */
export const decideMove = async (
  ports: PlanChangePorts,
  db: Db,
  subscription: Subscription,
  asked: MoveAsked,
  now: Instant,
): Promise<MoveDecision> => {
  const before = reasonBefore(subscription, asked, now);
  if (before) return before;
  const { toPlanId: plan, toVersionId, at, bills: invoice } = asked;
  try {
    const decided = await decidePlanChange(ports, db, subscription, { plan, at, invoice }, now);
    const [change] = decided.added;
    if (change?.kind !== 'plan' || change.planVersionId !== toVersionId) throw new TargetGoneError('not active');
    const outcome = decided.heldFrom === undefined ? 'scheduled' : 'moved';
    return { outcome, decided, effectiveAt: change.effectiveAt };
  } catch (error) {
    if (!(error instanceof FailureError)) throw error;
    if (error.code === 'PLAN_NOT_ACTIVE') throw new TargetGoneError('not active');
    const reason = reasonOf(error);
    if (reason === undefined) throw error;
    return skipped(reason, detailOf(error));
  }
};
