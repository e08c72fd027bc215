/**
 * What becomes of usage that comes late for a billed period, or is amended in one: a term of plan versions.
 *
 * `bill_next`: the difference is on the next invoice, whether it is more or less. `report_only`: it is reported, and
 * billed by nobody.
 */
export const lateUsagePolicies = ['bill_next', 'report_only'] as const;
export type LateUsagePolicy = (typeof lateUsagePolicies)[number];

export const defaultLateUsage: LateUsagePolicy = 'bill_next';

/** That of a version as it is stored: one from before there was a choice does not say. */
export const lateUsageIn = (terms: { readonly late_usage?: LateUsagePolicy } | null): LateUsagePolicy =>
  terms?.late_usage ?? defaultLateUsage;
