/** Rated lines of billing periods -> the draft of an invoice. Nothing is priced or rounded here. */
import assert from 'node:assert/strict';
import type { Currency } from '#schemas/currency.ts';
import type { DraftInvoice, InvoiceLine, InvoicePeriod } from '#schemas/invoice.ts';
import { sumAmounts } from '#schemas/money.ts';
import { samePeriod } from '#schemas/period.ts';
import type { RatedLine } from '#schemas/rated-line.ts';

/** Who is billed, which is not always whose time it is. */
export type InvoiceParties = { readonly customerId: string; readonly currency: Currency };

/** A billing period with its rated lines. */
export type RatedPeriod = InvoicePeriod & { readonly lines: readonly RatedLine[] };

/**
 * The total is the sum of the printed lines. Lines stand in the order of the periods and of their plans, in whatever
 * order they come. They must all be of their period, customer and currency, each charge once: a foreign or doubled line
 * is a bug and must not become an invoice.
 */
export const draftInvoice = (
  { customerId, currency }: InvoiceParties,
  ratedPeriods: readonly RatedPeriod[],
): DraftInvoice => {
  const lines = ratedPeriods
    .flatMap((period) => linesOf(period, currency))
    .map((line, index) => toInvoiceLine(line, index + 1));
  const subtotal = sumAmounts(lines.map((line) => line.amount));
  return {
    kind: 'period',
    customerId,
    currency,
    periods: ratedPeriods.map(({ lines: _lines, ...period }) => period),
    lines,
    subtotal,
    total: subtotal,
  };
};

const linesOf = ({ lines, ...period }: RatedPeriod, currency: Currency): RatedLine[] => {
  for (const line of lines) {
    assert.equal(line.billingPeriodId, period.billingPeriodId, 'a line of another billing period');
    assert.equal(line.subscriptionId, period.subscriptionId, 'a line of another subscription');
    assert.equal(line.customerId, period.customerId, 'a line of another customer');
    assert.equal(line.planVersionId, period.planVersionId, 'a line of another plan version');
    assert.equal(line.currency, currency, 'a line in another currency');
    assert(samePeriod(line.span, period.span), 'a line over another time');
  }
  assert.equal(new Set(lines.map((line) => line.chargeCode)).size, lines.length, 'a charge appears twice');
  return lines.toSorted((a, b) => a.position - b.position);
};

const toInvoiceLine = (line: RatedLine, position: number): InvoiceLine => ({
  billingPeriodId: line.billingPeriodId,
  position,
  chargeCode: line.chargeCode,
  description: line.chargeName,
  meter: line.meter,
  quantity: line.quantity,
  rounding: line.rounding,
  precise: line.precise,
  amount: line.amount,
  steps: line.steps,
  servicePeriod: line.span,
});
