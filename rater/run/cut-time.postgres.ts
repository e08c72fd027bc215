/** The time of subscriptions that is due and that nobody has cut into billing periods yet, as it is cut. */
import { writtenParts } from '#platform/stores/billed-parts.postgres.ts';
import type { Queryable } from '#platform/stores/postgres.ts';
import {
  oneTimeChargesColumn,
  type TermsRow,
  termsColumns,
  termsFromRow,
} from '#platform/stores/subscription-terms.postgres.ts';
import { periodIdOf } from '#schemas/billing-period.ts';
import type { StoredTerms } from '#schemas/charge-schedule.ts';
import {
  type BilledPart,
  type DuePart,
  dueParts,
  nextLook,
  rememberedPeriods,
  type SchedulesOf,
} from '#schemas/due-parts.ts';
import { type Instant, monthFromText, monthNameOf, type Period } from '#schemas/period.ts';
import type { SubscriptionTerms } from '#schemas/subscription-terms.ts';
import { schedulesIn } from './billable-periods.ts';
import { onSameInvoice } from './payer-statements.ts';
import { payersOf } from './payers.postgres.ts';

/** Whose time; the parameters of a condition on the subscription `s`, which begin with `$2`. */
type Whose = { readonly condition: string; readonly parameters: readonly unknown[] };

/** Null is everybody. */
export const ofScope = (customerIds: readonly string[] | null, subscriptionId: string | null): Whose => ({
  condition: '($2::text[] IS NULL OR s.customer_id = ANY ($2)) AND ($3::text IS NULL OR s.id = $3)',
  parameters: [customerIds, subscriptionId],
});

export const ofCustomers = (customerIds: readonly string[], planId: string | null): Whose => ({
  condition: `s.customer_id = ANY ($2)
  AND ($3::text IS NULL OR s.plan_version_id IN (SELECT n.id FROM plan_versions n WHERE n.plan_id = $3))`,
  parameters: [customerIds, planId],
});

/** The same of those alone who live by the hour of all: a run bills nobody who lives by a test clock. */
export const withoutClock = ({ condition, parameters }: Whose): Whose => ({
  condition: `${condition} AND s.test_clock_id IS NULL`,
  parameters,
});

const sameInvoice = onSameInvoice('SELECT f.customer_id FROM first f');

/** All of them. */
const rowsMax = 2_147_483_647;

/**
 * Everybody who is to be looked at until an instant, those first who wait the longest. What may be one invoice is taken
 * whole, or not at all, however few are asked for: with a subscription of a consolidated customer all that are due come
 * that are billed with it.
 */
const whoIsDue = ({ dueUntil, customerIds, subscriptionId, subscriptionsMax, testClockId }: DueToCut): Whose => {
  const column = testClockId === null ? 'next_due_at' : 'clocked_due_at';
  const isDue = `s.${column} <= $2 AND ${testClockId === null ? '$5::text IS NULL' : 's.test_clock_id = $5'}
  AND ($3::text[] IS NULL OR s.customer_id = ANY ($3)) AND ($4::text IS NULL OR s.id = $4)`;
  const first = `SELECT s.id, s.customer_id FROM subscriptions s WHERE s.organization_id = $1 AND ${isDue}
  ORDER BY s.${column}, s.customer_id FETCH FIRST (coalesce($6::integer, ${rowsMax})) ROWS WITH TIES`;
  return {
    condition: `s.id IN (WITH RECURSIVE first AS MATERIALIZED (${first}), ${sameInvoice}
    SELECT f.id FROM first f
    UNION SELECT s.id FROM same_invoice i JOIN subscriptions s ON s.customer_id = i.id
    WHERE s.organization_id = $1 AND $6::integer IS NOT NULL AND ${isDue})`,
    parameters: [new Date(dueUntil), customerIds, subscriptionId, testClockId, subscriptionsMax],
  };
};

type SubscriptionRow = TermsRow & {
  id: string;
  customer_id: string;
  currency: string;
  cut_until: Date | null;
};

export type SubscribedTerms = {
  readonly id: string;
  readonly customerId: string;
  readonly currency: string;
  readonly terms: SubscriptionTerms;
  /** All that was due until then is written down. */
  readonly cutUntil: Instant | null;
};

const selectTerms = (where: string): string => `
SELECT s.id, s.customer_id, s.currency, s.cut_until, ${termsColumns}, ${oneTimeChargesColumn}
FROM subscriptions s WHERE s.organization_id = $1 AND ${where}`;

const subscribedFromRow = (row: SubscriptionRow): SubscribedTerms => ({
  id: row.id,
  customerId: row.customer_id,
  currency: row.currency,
  terms: termsFromRow(row),
  cutUntil: row.cut_until?.getTime() ?? null,
});

/** What subscriptions are billed for, in the order of their ids. */
export const subscribedTerms = async (
  client: Queryable,
  organizationId: string,
  { condition, parameters }: Whose,
): Promise<SubscribedTerms[]> => {
  const { rows } = await client.query<SubscriptionRow>(selectTerms(condition), [organizationId, ...parameters]);
  return rows.map(subscribedFromRow).toSorted((a, b) => (a.id < b.id ? -1 : 1));
};

/** Their terms as they stand once the rows are locked, so that none changes while its time is cut. */
const lockedTerms = async (client: Queryable, organizationId: string, whose: Whose): Promise<SubscribedTerms[]> => {
  const { rows } = await client.query<{ id: string }>(
    `SELECT o.id FROM subscriptions o WHERE o.organization_id = $1 AND o.id IN (
       SELECT s.id FROM subscriptions s WHERE s.organization_id = $1 AND ${whose.condition})
     ORDER BY o.id FOR NO KEY UPDATE`,
    [organizationId, ...whose.parameters],
  );
  const ids = rows.map(({ id }) => id);
  return subscribedTerms(client, organizationId, { condition: 's.id = ANY ($2)', parameters: [ids] });
};

/** By the ids of versions, read once. */
const readSchedules = async (
  client: Queryable,
  organizationId: string,
  subscribed: readonly SubscribedTerms[],
): Promise<SchedulesOf> => {
  const ids = new Set<string>();
  for (const { terms } of subscribed) {
    ids.add(terms.planVersionId);
    for (const change of terms.changes) if ('planVersionId' in change) ids.add(change.planVersionId);
  }
  const { rows } = await client.query<StoredTerms & { id: string; plan_id: string }>(
    'SELECT id, plan_id, charges, terms FROM plan_versions WHERE organization_id = $1 AND id = ANY ($2)',
    [organizationId, [...ids]],
  );
  return schedulesIn(rows);
};

export type FreshPeriod = DuePart & {
  readonly id: string;
  readonly subscriptionId: string;
  readonly customerId: string;
  readonly currency: string;
  readonly timeZone: string;
  /** From 1, in the order of time: of its item and timing within its billing period. */
  readonly segment: number;
  /** In which it is due by the calendar of the zone; of what is in arrears, in which its last moment lies: 2026-10. */
  readonly month: string;
};

const monthNames = (): ((instant: Instant, timeZone: string) => string) => {
  const known = new Map<string, string>();
  return (instant, timeZone) => {
    const key = `${instant} ${timeZone}`;
    const found = known.get(key) ?? monthNameOf(instant, timeZone);
    if (known.size < 10_000) known.set(key, found);
    return found;
  };
};

const sameGroup = (a: BilledPart, b: BilledPart): boolean =>
  a.item === b.item &&
  a.timing === b.timing &&
  a.isCounted === b.isCounted &&
  a.billing.start === b.billing.start &&
  a.billing.end === b.billing.end;

const freshPeriod = (
  { id: subscriptionId, customerId, currency, terms }: SubscribedTerms,
  part: DuePart,
  others: readonly BilledPart[],
  monthOf: (instant: Instant, timeZone: string) => string,
): FreshPeriod => {
  const { timeZone } = terms.cycle;
  // What is charged once has a group of its own.
  const before =
    part.timing === 'once'
      ? []
      : others.filter((other) => sameGroup(other, part) && other.span.start < part.span.start);
  return {
    ...part,
    id: periodIdOf(subscriptionId, part),
    subscriptionId,
    customerId,
    currency,
    timeZone,
    segment: before.length + 1,
    month: monthOf(part.timing === 'arrears' ? part.dueAt - 1 : part.dueAt, timeZone),
  };
};

const freshOf = (
  subscribed: SubscribedTerms,
  parts: readonly DuePart[],
  written: readonly BilledPart[],
  monthOf: (instant: Instant, timeZone: string) => string,
): FreshPeriod[] => {
  // Most often there is one part, and nothing beside it.
  const others = parts.length + written.length > 1 ? [...written, ...parts] : [];
  return parts.map((part) => freshPeriod(subscribed, part, others, monthOf));
};

/** No zone's calendar is further from that of UTC. */
const zoneMsMax = 86_400_000;

export type MonthToCut = {
  /** 2026-10. */
  readonly month: string;
  /** What falls due later is left. */
  readonly until?: Instant;
};

const ofMonth = (
  subscribed: readonly SubscribedTerms[],
  schedulesOf: SchedulesOf,
  written: ReadonlyMap<string, BilledPart[]>,
  { month }: MonthToCut,
  time: Period,
): FreshPeriod[] => {
  const periodsIn = rememberedPeriods();
  const monthOf = monthNames();
  return subscribed.flatMap((one) => {
    const known = written.get(one.id) ?? [];
    const parts = dueParts(one.terms, schedulesOf, known, time, periodsIn);
    return freshOf(one, parts, known, monthOf).filter((part) => part.month === month);
  });
};

/** In the order of subscriptions and of time: what nobody has cut yet of what is due in a month. */
export const freshPeriodsOfMonth = async (
  client: Queryable,
  organizationId: string,
  asked: MonthToCut,
  whose: Whose,
  { isLocked = false, schedules }: { readonly isLocked?: boolean; readonly schedules?: SchedulesOf } = {},
): Promise<FreshPeriod[]> => {
  const month = monthFromText(asked.month);
  if (!month) return [];
  const time = { start: month.start - zoneMsMax, end: Math.min(month.end + zoneMsMax, asked.until ?? Infinity) };
  const lasting = {
    condition: `s.started_at <= $4 AND (s.ended_at IS NULL OR s.ended_at >= $5) AND ${whose.condition}`,
    parameters: [...whose.parameters, new Date(time.end), new Date(time.start)],
  };
  const subscribed = await (isLocked ? lockedTerms : subscribedTerms)(client, organizationId, lasting);
  const schedulesOf = schedules ?? (await readSchedules(client, organizationId, subscribed));
  const written = await writtenParts(
    client,
    organizationId,
    subscribed.map(({ id }) => ({ id, after: time.start })),
  );
  return ofMonth(subscribed, schedulesOf, written, asked, time);
};

export type DueToCut = {
  /** Until when something falls due, and until when what was used does: late events are waited for. */
  readonly dueUntil: Instant;
  readonly arrearsUntil: Instant;
  /** Null is everybody, as it is of the two that follow. */
  readonly customerIds: readonly string[] | null;
  readonly subscriptionId: string | null;
  readonly subscriptionsMax: number | null;
  /** Whose hour it is; null is that of all. */
  readonly testClockId: string | null;
};

/** Until when a subscription is cut, and when it is to be looked at again. */
export type CutState = {
  readonly subscriptionId: string;
  readonly customerId: string;
  readonly cutUntil: Instant;
  readonly nextDueAt: Instant | undefined;
};

const waitsForUsage = (part: DuePart, arrearsUntil: Instant): boolean =>
  part.isMetered && part.timing === 'arrears' && part.dueAt > arrearsUntil;

/** What is due of a subscription, and the name of what is billed together of it, which instants are waited for by. */
type DueOfOne = {
  readonly one: SubscribedTerms;
  readonly billedWith: string;
  readonly known: readonly BilledPart[];
  readonly parts: readonly DuePart[];
};

/** By what is billed together, the instants at which usage is waited for. */
const instantsThatWait = (
  found: readonly DueOfOne[],
  { arrearsUntil }: DueToCut,
): ReadonlyMap<string, Set<Instant>> => {
  const waiting = new Map<string, Set<Instant>>();
  for (const { billedWith, parts } of found)
    for (const part of parts) {
      if (!waitsForUsage(part, arrearsUntil)) continue;
      const instants = waiting.get(billedWith) ?? new Set();
      waiting.set(billedWith, instants.add(part.dueAt));
    }
  return waiting;
};

/**
 * What falls due together is billed together: where usage is waited for, all that falls due at that instant waits.
 */
const withoutWaiting = (
  parts: readonly DuePart[],
  waiting: ReadonlySet<Instant>,
  { dueUntil, arrearsUntil }: DueToCut,
): { due: readonly DuePart[]; cutUntil: Instant; lookAgain: Instant } => {
  const waits = parts.filter(({ dueAt }) => waiting.has(dueAt));
  if (waits.length === 0) return { due: parts, cutUntil: dueUntil, lookAgain: Number.POSITIVE_INFINITY };
  const first = Math.min(...waits.map(({ dueAt }) => dueAt));
  return {
    due: parts.filter(({ dueAt }) => !waiting.has(dueAt)),
    cutUntil: first - 1,
    lookAgain: first + dueUntil - arrearsUntil,
  };
};

const afterOf = ({ cutUntil, terms }: SubscribedTerms): Instant => cutUntil ?? terms.startedAt - 1;

const readDue = async (
  client: Queryable,
  organizationId: string,
  { dueUntil }: DueToCut,
  { subscribed, schedulesOf }: { readonly subscribed: readonly SubscribedTerms[]; readonly schedulesOf: SchedulesOf },
): Promise<DueOfOne[]> => {
  const written = await writtenParts(
    client,
    organizationId,
    subscribed.map((one) => ({ id: one.id, after: afterOf(one) })),
  );
  const payers = await payersOf(
    client,
    organizationId,
    subscribed.map(({ customerId }) => customerId),
  );
  const periodsIn = rememberedPeriods();
  return subscribed.map((one) => {
    const payer = payers.get(one.customerId);
    const known = written.get(one.id) ?? [];
    const start = afterOf(one);
    return {
      one,
      billedWith: payer?.isConsolidated ? `${payer.id} ${one.currency}` : one.id,
      known,
      parts: start < dueUntil ? dueParts(one.terms, schedulesOf, known, { start, end: dueUntil }, periodsIn) : [],
    };
  });
};

/** What nobody has cut yet of what is due, with the subscriptions locked. */
export const freshPeriodsDue = async (
  client: Queryable,
  organizationId: string,
  asked: DueToCut,
): Promise<{ periods: FreshPeriod[]; states: CutState[] }> => {
  const { dueUntil } = asked;
  const subscribed = await lockedTerms(client, organizationId, whoIsDue(asked));
  const schedulesOf = await readSchedules(client, organizationId, subscribed);
  const found = await readDue(client, organizationId, asked, { subscribed, schedulesOf });
  const waiting = instantsThatWait(found, asked);
  const monthOf = monthNames();
  const periods: FreshPeriod[] = [];
  const states: CutState[] = [];
  for (const { one, billedWith, known, parts } of found) {
    const { due, cutUntil, lookAgain } = withoutWaiting(parts, waiting.get(billedWith) ?? new Set(), asked);
    const next = Math.min(lookAgain, nextLook(one.terms, schedulesOf, dueUntil) ?? Number.POSITIVE_INFINITY);
    for (const period of freshOf(one, due, known, monthOf)) periods.push(period);
    states.push({
      subscriptionId: one.id,
      customerId: one.customerId,
      cutUntil: Math.max(cutUntil, afterOf(one)),
      nextDueAt: next === Number.POSITIVE_INFINITY ? undefined : next,
    });
  }
  return { periods, states };
};
