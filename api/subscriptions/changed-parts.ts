/**
 * What of a subscription a change of it would charge and credit, before it is made: its parts in the billing periods
 * that hold the instant of the change. And what such parts come to by the prices of their plans, where nothing is
 * written yet: flat charges and those of seats and add-ons. Pure.
 */
import assert from 'node:assert/strict';
import { type BillingCycle, periodAt } from '#schemas/billing-cycle.ts';
import { periodIdOf } from '#schemas/billing-period.ts';
import {
  type ChargeSchedule,
  chargeSchedules,
  cycleOfInterval,
  isCounted,
  isOfSchedule,
} from '#schemas/charge-schedule.ts';
import type { Currency } from '#schemas/currency.ts';
import { type BilledPart, type DuePart, dueParts, rememberedPeriods } from '#schemas/due-parts.ts';
import { formatInstant } from '#schemas/instant.ts';
import { formatMinorUnits, sumAmounts } from '#schemas/money.ts';
import { contains, formatPeriod, type Instant } from '#schemas/period.ts';
import { type Charge, type ChargeJson, chargeFromJson, chargeJsonIn, type PlanTermsJson } from '#schemas/plan.ts';
import { proratedLevels, prorationOf } from '#schemas/proration.ts';
import { formatQuantity } from '#schemas/quantity.ts';
import type { RatedLine, RatingPolicy } from '#schemas/rated-line.ts';
import type { SubscriptionChange, SubscriptionTerms } from '#schemas/subscription-terms.ts';
import { ratePlan } from '../../rater/price/rate.ts';
import type { PlanName } from '../catalog/plan-versions.postgres.ts';
import type { LedgerChanges } from './subscription-changes.postgres.ts';
import type { Subscription } from './subscriptions.postgres.ts';

export type PlanNames = ReadonlyMap<string, PlanName>;

export type PreviewedLine = { readonly part: DuePart; readonly line: RatedLine };

/** The ledger as it would be. */
export const changedLedger = ({ changes }: Subscription, { undone, added }: LedgerChanges): SubscriptionChange[] =>
  [...changes.filter(({ id }) => !undone.includes(id)), ...added].toSorted((a, b) => a.effectiveAt - b.effectiveAt);

export type Schedules = ReadonlyMap<string, readonly ChargeSchedule[]>;

export const schedulesByVersion = (
  versions: ReadonlyMap<string, PlanTermsJson>,
  planNames: ReadonlyMap<string, PlanName>,
): Schedules =>
  new Map(
    [...versions].map(([id, version]) => [
      id,
      chargeSchedules({ charges: version.charges, terms: version }, planNames.get(id)?.planId ?? id),
    ]),
  );

/** Of the billing periods that hold an instant. A charge of another interval has its own from the same anchor. */
export const lastPeriodEnd = (cycle: BillingCycle, schedules: Schedules, instant: Instant): Instant =>
  Math.max(
    instant,
    ...[...schedules.values()].flat().map(({ interval }) => periodAt(cycleOfInterval(cycle, interval), instant).end),
  );

/** Of the billing periods that hold the instant, what was not written down yet. */
const partsAround = (
  terms: SubscriptionTerms,
  schedules: Schedules,
  written: readonly BilledPart[],
  instant: Instant,
): DuePart[] => {
  const time = { start: instant - 1, end: lastPeriodEnd(terms.cycle, schedules, instant) };
  const parts = dueParts(terms, (id) => schedules.get(id) ?? [], written, time, rememberedPeriods());
  return parts.filter(({ billing }) => contains(billing, instant));
};

export const partKey = ({
  item,
  planVersionId,
  timing,
  interval,
  isCounted: counted,
  span,
  quantities,
}: DuePart): string =>
  JSON.stringify([item, planVersionId, timing, interval, counted, span.start, span.end, quantities]);

/** The charges of a part that no usage goes into, as they are priced in the currency of the subscription. */
const chargesOf = (part: DuePart, version: PlanTermsJson, currency: string) => {
  const isAddOn = version.add_on !== null;
  const timing = part.timing === 'credit' ? 'advance' : part.timing;
  const isOf = (charge: ChargeJson): boolean =>
    charge.meter === null &&
    charge.credit_unit === undefined &&
    isOfSchedule(charge, isAddOn, { interval: part.interval, timing, isCounted: part.isCounted });
  const counted = version.charges.flatMap((charge) =>
    isCounted(charge, isAddOn) ? [[charge.code, charge.seats ? ('units' as const) : ('times' as const)] as const] : [],
  );
  const charges = version.charges.filter(isOf).flatMap((json): Charge[] => {
    const parsed = chargeFromJson(chargeJsonIn(json, currency, version.currency));
    assert(parsed.ok, `a charge of plan version ${part.planVersionId} can't be read`);
    return [parsed.value];
  });
  return { charges, counted: Object.fromEntries(counted) };
};

export type PreviewedSubscription = Pick<Subscription, 'id' | 'customerId' | 'currency' | 'cycle'>;

/** The lines of a part, but for usage. */
export const ratedPart = (
  part: DuePart,
  subscription: PreviewedSubscription,
  { versions, policy }: { readonly versions: ReadonlyMap<string, PlanTermsJson>; readonly policy: RatingPolicy },
): PreviewedLine[] => {
  const version = versions.get(part.planVersionId);
  if (!version) return [];
  const { charges, counted } = chargesOf(part, version, subscription.currency);
  const { timeZone } = subscription.cycle;
  const lines = ratePlan(
    {
      billingPeriodId: periodIdOf(subscription.id, part),
      subscriptionId: subscription.id,
      customerId: subscription.customerId,
      planVersionId: part.planVersionId,
      currency: subscription.currency as Currency,
      span: part.span,
      charges,
      proration: prorationOf(version.proration, part.billing, part.span, timeZone),
      part: {
        timing: part.timing,
        positions: charges.map((_, index) => index + 1),
        boundPosition: charges.length + 1,
        counted,
        levels: proratedLevels(version.proration, part.billing, part.span, timeZone, part.quantities),
        others: [],
      },
      usage: {},
    },
    policy,
  );
  return lines.map((line) => ({ part, line }));
};

const lineJson = ({ part, line }: PreviewedLine, names: PlanNames) => ({
  charge_code: line.chargeCode,
  description: line.chargeName,
  plan_code: names.get(part.planVersionId)?.planCode ?? part.planVersionId,
  timing: part.timing,
  quantity: formatQuantity(line.quantity),
  amount: formatMinorUnits(line.amount, line.currency),
  period: formatPeriod(part.span),
  due_at: formatInstant(part.dueAt),
});

export const previewedLinesJson = (lines: readonly PreviewedLine[], names: PlanNames, currency: Currency) => ({
  lines: lines.map((line) => lineJson(line, names)),
  total: formatMinorUnits(sumAmounts(lines.map(({ line }) => line.amount)), currency),
});

/** What is charged with the change and not without it, and the other way round. */
export const changedParts = (
  before: SubscriptionTerms,
  after: SubscriptionTerms,
  effectiveAt: Instant,
  schedules: Schedules,
  /** All that is written down of the billing periods that go on, and all that was charged once. */
  written: readonly BilledPart[],
): { readonly charged: readonly DuePart[]; readonly insteadOf: readonly DuePart[] } => {
  const [without, changed] = [before, after].map((terms) => partsAround(terms, schedules, written, effectiveAt));
  const beyond = (parts: readonly DuePart[] = [], others: readonly DuePart[] = []): DuePart[] => {
    const known = new Set(others.map(partKey));
    return parts.filter((part) => !known.has(partKey(part)));
  };
  return { charged: beyond(changed, without), insteadOf: beyond(without, changed) };
};

/** The plan versions that a change may charge or credit. */
export const versionsOf = (subscription: Subscription, { added }: LedgerChanges): string[] => [
  ...new Set([
    ...subscription.planNames.keys(),
    ...added.flatMap((change) => ('planVersionId' in change ? [change.planVersionId] : [])),
  ]),
];
