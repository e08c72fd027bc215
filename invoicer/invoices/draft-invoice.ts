/** Rated lines of one subscription and period -> the draft of its invoice. Nothing is priced or rounded here. */
import assert from 'node:assert/strict';
import type { Currency } from '#schemas/currency.ts';
import type { DraftInvoice, InvoiceLine } from '#schemas/invoice.ts';
import { sumAmounts } from '#schemas/money.ts';
import type { Period } from '#schemas/period.ts';
import type { RatedLine } from '#schemas/rated-line.ts';

export type InvoiceParties = {
  readonly subscriptionId: string;
  readonly customerId: string;
  readonly planVersionId: string;
  readonly currency: Currency;
};

/**
 * The total is the sum of the printed lines. Lines stand in the order of the plan, in whatever order they come. They
 * must all be of this subscription and currency, each charge once: a foreign or doubled line is a bug and must not
 * become an invoice.
 */
export const draftInvoice = (
  parties: InvoiceParties,
  period: Period,
  ratedLines: readonly RatedLine[],
): DraftInvoice => {
  const { subscriptionId, customerId, planVersionId, currency } = parties;
  for (const line of ratedLines) {
    assert.equal(line.subscriptionId, subscriptionId, 'a line of another subscription');
    assert.equal(line.customerId, customerId, 'a line of another customer');
    assert.equal(line.planVersionId, planVersionId, 'a line of another plan version');
    assert.equal(line.currency, currency, 'a line in another currency');
  }
  assert.equal(new Set(ratedLines.map((line) => line.chargeCode)).size, ratedLines.length, 'a charge appears twice');

  const inPlanOrder = ratedLines.toSorted((a, b) => a.position - b.position);
  const lines = inPlanOrder.map((line, index) => toInvoiceLine(line, index + 1, period));
  const subtotal = sumAmounts(lines.map((line) => line.amount));
  return {
    kind: 'period',
    subscriptionId,
    customerId,
    planVersionId,
    currency,
    period,
    lines,
    subtotal,
    total: subtotal,
  };
};

const toInvoiceLine = (line: RatedLine, position: number, servicePeriod: Period): InvoiceLine => ({
  position,
  chargeCode: line.chargeCode,
  description: line.chargeName,
  meter: line.meter,
  quantity: line.quantity,
  rounding: line.rounding,
  precise: line.precise,
  amount: line.amount,
  steps: line.steps,
  servicePeriod,
});
