/**
 * What becomes of usage that comes late for a billed period, or is amended in one: a term of plan versions.
 *
 * `bill_next`: the difference is on the next invoice, whether it is more or less. `credit_note`: what is more is on the
 * next invoice, and what is less is given back by a credit note. `report_only`: it is reported, and billed by nobody.
 */
export const lateUsagePolicies = ['bill_next', 'credit_note', 'report_only'] as const;
export type LateUsagePolicy = (typeof lateUsagePolicies)[number];

export const defaultLateUsage: LateUsagePolicy = 'bill_next';

/** That of a version as it is stored: one from before there was a choice does not say. */
export const lateUsageIn = (terms: { readonly late_usage?: LateUsagePolicy } | null): LateUsagePolicy =>
  terms?.late_usage ?? defaultLateUsage;

/** What became of late usage of a billed period: it waits for a delta, or there is one in a state of its own. */
export const lateUsageStates = ['waiting', 'open', 'billed', 'credited', 'unchanged', 'reported'] as const;
export type LateUsageState = (typeof lateUsageStates)[number];
