/** What subscriptions are billed for, as their rows and those of their changes say it. */
import { type BillingCycleRow, billingCycleFromRow } from '#schemas/billing-cycle.ts';
import type { IntervalUnit } from '#schemas/interval.ts';
import type {
  ChangeBilling,
  OneTimeCharge,
  PausedUsage,
  SubscriptionChange,
  SubscriptionTerms,
} from '#schemas/subscription-terms.ts';

// Times as milliseconds: JSON has no instants. Most subscriptions never change, and are spared the question.
/**
 * The changes of subscriptions `s` that stand, in their order, as `ChangeJson`; null where there never was one. `more`
 * are further fields, of the change `g`, its plan version `gv` and what `join` adds.
 */
export const changesColumn = (more = '', join = ''): string => `CASE WHEN s.has_changes THEN (
    SELECT json_agg(json_build_object('kind', g.kind, 'at', (extract(epoch FROM g.effective_at) * 1000)::bigint,
        'version', g.plan_version_id, 'plan', gv.plan_id, 'quantity', g.quantity, 'unit', g.interval_unit,
        'count', g.interval_count, 'usage', g.usage, 'bills', g.bills${more}) ORDER BY g.effective_at, g.id)
    FROM subscription_changes g LEFT JOIN plan_versions gv ON gv.id = g.plan_version_id${join}
    WHERE g.subscription_id = s.id AND g.undone_at IS NULL) END AS changes`;

/** The columns of `TermsRow` beside the changes, of subscriptions `s`. */
export const initialTermsColumns = `s.plan_version_id, s.seats, s.started_at, s.ended_at, s.trial_ends_at,
  s.interval_unit, s.interval_count, s.billing_anchor, s.time_zone, s.cancellation_refund,
  s.cancellation_final_usage`;

/** The one-time charges of subscriptions `s` that wait to be written down; null where there never was one. */
export const oneTimeChargesColumn = `CASE WHEN s.has_charges THEN (
    SELECT json_agg(json_build_object('id', h.id, 'effectiveAt', (extract(epoch FROM h.effective_at) * 1000)::bigint,
        'bills', h.bills, 'quantity', h.quantity) ORDER BY h.effective_at, h.id)
    FROM one_time_charges h
    WHERE h.subscription_id = s.id AND h.billing_period_id IS NULL AND h.removed_at IS NULL) END AS one_time_charges`;

/** The columns of `TermsRow`, of subscriptions `s`. */
export const termsColumns = `${initialTermsColumns}, ${changesColumn()}`;

export type ChangeJson = {
  kind: SubscriptionChange['kind'];
  at: number;
  version: string;
  plan: string;
  quantity: number;
  unit: IntervalUnit;
  count: number;
  usage: PausedUsage;
  bills: ChangeBilling;
};

export type TermsRow = BillingCycleRow & {
  plan_version_id: string;
  seats: number;
  started_at: Date;
  ended_at: Date | null;
  trial_ends_at: Date | null;
  cancellation_refund: 'prorated' | 'none' | null;
  cancellation_final_usage: 'billed' | 'waived' | null;
  changes: ChangeJson[] | null;
  /** Where they are asked for, by `oneTimeChargesColumn`. */
  one_time_charges?: OneTimeCharge[] | null;
};

/** The table holds what each kind needs. */
export const changeFromJson = (json: ChangeJson): SubscriptionChange => {
  const effect = { effectiveAt: json.at, bills: json.bills };
  switch (json.kind) {
    case 'plan': {
      const interval = { unit: json.unit, count: json.count };
      return { ...effect, kind: 'plan', planVersionId: json.version, interval };
    }
    case 'seats':
      return { ...effect, kind: 'seats', quantity: json.quantity };
    case 'add_on':
      return { ...effect, kind: 'add_on', addOnId: json.plan, planVersionId: json.version, quantity: json.quantity };
    case 'pause':
      return { ...effect, kind: 'pause', usage: json.usage };
    case 'resume':
      return { ...effect, kind: 'resume' };
  }
};

export const termsFromRow = (row: TermsRow): SubscriptionTerms => ({
  startedAt: row.started_at.getTime(),
  endedAt: row.ended_at?.getTime() ?? null,
  trialEndsAt: row.trial_ends_at?.getTime() ?? null,
  cycle: billingCycleFromRow(row),
  planVersionId: row.plan_version_id,
  seats: row.seats,
  refundsAtEnd: row.cancellation_refund !== 'none',
  ...(row.cancellation_final_usage === 'waived' && { waivesFinalUsage: true }),
  changes: (row.changes ?? []).map(changeFromJson),
  ...(row.one_time_charges && { oneTimeCharges: row.one_time_charges }),
});
