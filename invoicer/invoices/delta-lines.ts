/** The lines of a delta: what a billing period comes to now, less what was billed of it so far. Pure. */
import type { DraftInvoice, InvoiceLine } from '#schemas/invoice.ts';
import { zeroAmount } from '#schemas/money.ts';
import type { Period } from '#schemas/period.ts';
import { type RatedDelta, ratedDeltas } from '#schemas/rated-delta.ts';
import type { RatedLine } from '#schemas/rated-line.ts';
import type { PeriodCorrection } from './grouped-periods.ts';

/** The delta that lines are of. */
type Delta = {
  readonly billingPeriodId: string;
  readonly correction: PeriodCorrection;
  readonly span: Period;
};

const toLine = (delta: RatedDelta, { billingPeriodId, correction, span }: Delta): Omit<InvoiceLine, 'position'> => ({
  kind: 'delta',
  billingPeriodId,
  chargeCode: delta.line.chargeCode,
  description: delta.description,
  meter: delta.line.meter,
  quantity: delta.quantity,
  rounding: delta.line.rounding,
  precise: delta.precise,
  unitAmount: null,
  amount: delta.amount,
  discounts: [],
  taxes: [],
  steps: [],
  servicePeriod: span,
  corrects: {
    invoiceId: correction.invoiceId,
    billingPeriodId: correction.billingPeriodId,
    watermark: correction.before.watermark,
    quantityBefore: delta.quantityBefore,
    quantityNow: delta.quantityNow,
    amountBefore: delta.amountBefore,
    amountNow: delta.amountNow,
  },
});

export const deltaLines = (
  now: readonly RatedLine[],
  before: readonly RatedLine[],
  delta: Delta,
): Omit<InvoiceLine, 'position'>[] => ratedDeltas(now, before).map((one) => toLine(one, delta));

/** Whether an invoice would be of deltas alone, and of none that anything is due for. */
export const isUnchanged = ({ periods, lines }: Pick<DraftInvoice, 'periods' | 'lines'>): boolean =>
  periods.length > 0 &&
  periods.every(({ correctsId }) => correctsId !== undefined) &&
  lines.every(({ amount }) => amount === zeroAmount);
