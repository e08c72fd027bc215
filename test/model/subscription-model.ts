/**
 * The model: customers' subscriptions as a list of changes, what is allowed when, and what is to be charged for. It is
 * written from the documents (`docs/subscriptions.md`, `docs/billing-periods.md`) and imports nothing of the product.
 */
import { addOnCode, type ChargeOfModel, periodOf, unitOfPlan } from './for-sale.ts';

export type Change = {
  readonly id: string;
  readonly kind: 'plan' | 'seats' | 'add_on' | 'pause' | 'resume';
  readonly value: string | number | null;
  readonly effectiveAt: number;
};

export type Subscription = {
  readonly id: string;
  readonly plan: string;
  readonly seats: number;
  readonly startedAt: number;
  readonly trialEndsAt: number | null;
  endedAt: number | null;
  canceledAt: number | null;
  updatedAt: number;
  /** In the order in which they take effect. */
  changes: readonly Change[];
};

export type Model = { now: number; readonly subscriptions: Subscription[] };

export type State = 'pending' | 'trialing' | 'active' | 'paused' | 'canceled';
export type Action = 'cancel' | 'undo_cancel' | 'change' | 'pause' | 'resume';

/** What holds at an instant. */
export const termsAt = ({ plan, seats, changes }: Subscription, at: number) => {
  const terms = { plan, seats, addOns: 0, isPaused: false };
  for (const { kind, value, effectiveAt } of changes) {
    if (effectiveAt > at) continue;
    if (kind === 'plan') terms.plan = String(value);
    if (kind === 'seats') terms.seats = Number(value);
    if (kind === 'add_on') terms.addOns = Number(value);
    if (kind === 'pause' || kind === 'resume') terms.isPaused = kind === 'pause';
  }
  return terms;
};

export const stateAt = (subscription: Subscription, at: number): State => {
  const { startedAt, endedAt, trialEndsAt } = subscription;
  if (endedAt !== null && endedAt <= at) return 'canceled';
  if (startedAt > at) return 'pending';
  if (trialEndsAt !== null && trialEndsAt > at) return 'trialing';
  return termsAt(subscription, at).isPaused ? 'paused' : 'active';
};

export const isAllowed = (subscription: Subscription, action: Action, at: number): boolean => {
  const state = stateAt(subscription, at);
  if (state === 'canceled') return false;
  if (action === 'undo_cancel') return subscription.canceledAt !== null;
  if (action === 'pause') return state === 'active';
  if (action === 'resume') return state === 'paused';
  return true;
};

/** Requests are done one after the other, each at an instant of its own. */
export const hourOf = ({ now }: Model, { updatedAt }: Subscription): number => Math.max(now, updatedAt);

/** From when on a change holds; some milliseconds later where others have taken effect, or were billed, until then. */
export const instantOf = (subscription: Subscription, at: 'now' | 'period_end', hour: number): number => {
  const first = Math.max(hour, subscription.startedAt);
  return at === 'now' ? first : periodOf(unitOfPlan(termsAt(subscription, first).plan), first).end;
};

/** Whether another subscription of the customer has a plan at an instant or behind it. */
export const isTaken = (model: Model, plan: string, at: number, own?: Subscription): boolean =>
  model.subscriptions.some(
    (other) =>
      other !== own &&
      (other.endedAt === null || other.endedAt > at) &&
      (termsAt(other, at).plan === plan ||
        other.changes.some(({ kind, value, effectiveAt }) => kind === 'plan' && effectiveAt > at && value === plan)),
  );

export const isAhead = ({ changes }: Subscription, kind: Change['kind'], hour: number): boolean =>
  changes.some((one) => one.kind === kind && one.effectiveAt > hour);

/** A stretch of time in which something is charged, in a number. */
export type Stretch = { readonly from: number; readonly to: number; readonly quantity: number };

const quantityAt = (subscription: Subscription, { item, isCounted }: ChargeOfModel, at: number): number => {
  const { plan, seats, addOns, isPaused } = termsAt(subscription, at);
  if (isPaused || (subscription.trialEndsAt ?? 0) > at) return 0;
  if (item === addOnCode) return addOns;
  if (item !== plan) return 0;
  return isCounted ? seats : 1;
};

/** What is to be charged within a stretch of time, in the end; what goes on as before is one. */
export const wantedOf = (
  subscription: Subscription,
  charge: ChargeOfModel,
  { start, end }: { readonly start: number; readonly end: number },
): Stretch[] => {
  const { startedAt, endedAt, trialEndsAt, changes } = subscription;
  const from = Math.max(start, startedAt);
  const to = Math.min(end, endedAt ?? end);
  const turns = [from, to, trialEndsAt ?? from, ...changes.map(({ effectiveAt }) => effectiveAt)];
  const instants = [...new Set(turns)].filter((at) => at >= from && at <= to).toSorted((a, b) => a - b);
  const stretches: Stretch[] = [];
  for (const [index, at] of instants.entries()) {
    const next = instants[index + 1];
    const quantity = quantityAt(subscription, charge, at);
    if (next === undefined || quantity === 0) continue;
    const last = stretches.at(-1);
    if (last?.to === at && last.quantity === quantity) stretches[stretches.length - 1] = { ...last, to: next };
    else stretches.push({ from: at, to: next, quantity });
  }
  return stretches;
};

const dayMs = 86_400_000;

/** What of a whole price is due until an instant within its billing period, half a cent up. */
const dueUntil = ({ unit, cents, proration }: ChargeOfModel, quantity: number, within: number, at: number): bigint => {
  const { start, end } = periodOf(unit, within);
  const measure = (ms: number) => BigInt(proration === 'day' ? Math.floor(ms / dayMs) : ms);
  const [part, whole] = [measure(at - start), measure(end - start)];
  return (2n * cents * BigInt(quantity) * part + whole) / (2n * whole);
};

/** What a stretch within one billing period costs. */
export const costOf = (charge: ChargeOfModel, { from, to, quantity }: Stretch): bigint =>
  dueUntil(charge, quantity, from, to) - dueUntil(charge, quantity, from, from);
