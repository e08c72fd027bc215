/** Billing periods as they are gathered for an invoice, deltas with what they are held against. Pure. */
import type { InvoicePeriod } from '#schemas/invoice.ts';
import type { LateUsagePolicy } from '#schemas/late-usage.ts';

/** What a delta is held against: what was rated of its period before, on the invoice that billed it, or on a delta. */
export type PeriodCorrection = {
  /** The period that was billed first, and the invoice that bills it. */
  readonly billingPeriodId: string;
  readonly invoiceId: string;
  readonly before: { readonly billingPeriodId: string; readonly watermark: bigint };
  readonly lateUsage: LateUsagePolicy;
};

export type GroupedPeriod = Omit<InvoicePeriod, 'watermark'> & {
  /** Of a delta. */
  readonly correction?: PeriodCorrection;
};
