/** The lines of a delta: what a billing period comes to now, less what was billed of it so far. Pure. */
import assert from 'node:assert/strict';
import type { DraftInvoice, InvoiceLine } from '#schemas/invoice.ts';
import { zeroAmount, zeroPrecise } from '#schemas/money.ts';
import type { Period } from '#schemas/period.ts';
import { zeroQuantity } from '#schemas/quantity.ts';
import { correctionOf, type RatedDelta, ratedDeltas } from '#schemas/rated-delta.ts';
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

/** The line of a charge that comes to the same, beside `another` of the same delta. */
export const unchangedLine = (line: RatedLine, another: InvoiceLine): InvoiceLine => {
  const { chargeCode, chargeName, meter, quantity, rounding, amount } = line;
  const { corrects } = another;
  assert(corrects, 'a line of a delta says what it corrects');
  const same = { quantityBefore: quantity, quantityNow: quantity, amountBefore: amount, amountNow: amount };
  return {
    ...another,
    chargeCode,
    description: correctionOf(chargeName),
    meter,
    quantity: zeroQuantity,
    rounding,
    precise: zeroPrecise,
    amount: zeroAmount,
    corrects: { ...corrects, ...same },
  };
};

type Unchanged = {
  readonly draft: DraftInvoice | undefined;
  /** The deltas that are not on it. */
  readonly unchanged: DraftInvoice['periods'];
};

/**
 * A delta without a line is on no invoice, and deltas alone of which nothing is due are none. A draft that somebody
 * sees stays one.
 */
export const withoutUnchanged = (draft: DraftInvoice | undefined, isDraft: boolean): Unchanged => {
  if (!draft) return { draft, unchanged: [] };
  const { periods, lines } = draft;
  const isDelta = ({ correctsId }: DraftInvoice['periods'][number]) => correctsId !== undefined;
  if (periods.length > 0 && periods.every(isDelta) && lines.every(({ amount }) => amount === zeroAmount))
    return isDraft ? { draft, unchanged: [] } : { draft: undefined, unchanged: periods };
  const withLines = new Set(lines.map(({ billingPeriodId }) => billingPeriodId));
  const isUnchanged = (period: DraftInvoice['periods'][number]) =>
    isDelta(period) && !withLines.has(period.billingPeriodId);
  return {
    draft: { ...draft, periods: periods.filter((period) => !isUnchanged(period)) },
    unchanged: periods.filter(isUnchanged),
  };
};
