/** Rated lines of billing periods -> the draft of an invoice. Nothing is priced or rounded here. */
import assert from 'node:assert/strict';
import type { Currency } from '#schemas/currency.ts';
import { lineOfItem, type OneOffItem } from '#schemas/invoice/one-off.ts';
import type { DraftInvoice, InvoiceLine, InvoiceTerms } from '#schemas/invoice.ts';
import { samePeriod } from '#schemas/period.ts';
import type { RatedLine } from '#schemas/rated-line.ts';
import { deltaLines } from './delta-lines.ts';
import type { GroupedPeriod } from './grouped-periods.ts';
import { totalsOf } from './invoice-totals.ts';

/** Who is billed, which is not always whose time it is, and what the invoice says beside its lines. */
export type InvoiceParties = {
  readonly customerId: string;
  readonly currency: Currency;
  readonly terms: InvoiceTerms;
};

/** Of an invoice that says nothing beside its lines. */
export const plainTerms: InvoiceTerms = {
  issuingEntityId: null,
  seller: null,
  paymentDays: null,
  purchaseOrder: null,
  memo: null,
  customFields: [],
};

/** A draft of more billing periods is shown as it was computed last: rating so many is the work of raters. */
export const computedPeriodsMax = 1_000;

/** A billing period with its rated lines. */
export type RatedPeriod = GroupedPeriod & {
  readonly watermark: bigint;
  readonly lines: readonly RatedLine[];
  /** Of a delta: as its period was rated before. */
  readonly linesBefore?: readonly RatedLine[];
};

/**
 * Lines stand in the order of the periods and of their plans, in whatever order they come. They must all be of their
 * period, customer and currency, each charge once: a foreign or doubled line is a bug and must not become an invoice.
 * Whatever puts discounts or taxes on lines takes a draft and gives one, by `withLines` (invoice-totals.ts).
 */
export const draftInvoice = (
  { customerId, currency, terms }: InvoiceParties,
  ratedPeriods: readonly RatedPeriod[],
): DraftInvoice => {
  const lines = ratedPeriods
    .flatMap((period) => invoiceLinesOf(period, currency))
    .map((line, index) => ({ ...line, position: index + 1 }));
  return {
    kind: 'period',
    customerId,
    currency,
    ...terms,
    periods: ratedPeriods.map(({ lines: _lines, linesBefore: _before, correction: _correction, ...period }) => period),
    lines,
    ...totalsOf(lines),
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

/** Of a delta, the differences to what was billed before. */
const invoiceLinesOf = (period: RatedPeriod, currency: Currency): Omit<InvoiceLine, 'position'>[] => {
  const lines = linesOf(period, currency);
  const { billingPeriodId, correction, span, linesBefore = [] } = period;
  if (!correction) return lines.map(toInvoiceLine);
  assert(lines.length > 0 || linesBefore.length === 0, 'a delta was rated as what it corrects');
  for (const line of linesBefore) assert.equal(line.currency, currency, 'a line in another currency');
  return deltaLines(lines, linesBefore, { billingPeriodId, correction, span });
};

const toInvoiceLine = (line: RatedLine): Omit<InvoiceLine, 'position'> => ({
  kind: 'charge',
  billingPeriodId: line.billingPeriodId,
  chargeCode: line.chargeCode,
  description: line.chargeName,
  meter: line.meter,
  quantity: line.quantity,
  rounding: line.rounding,
  precise: line.precise,
  unitAmount: null,
  amount: line.amount,
  discounts: [],
  taxes: [],
  steps: line.steps,
  servicePeriod: line.span,
});

/** Of items that somebody wrote, with the amounts that they came to then. */
export const oneOffInvoice = (
  { customerId, currency, terms }: InvoiceParties,
  items: readonly OneOffItem[],
): DraftInvoice => {
  const lines = items.map((item, index) => lineOfItem(item, index + 1));
  return { ...terms, kind: 'one_off', customerId, currency, periods: [], lines, ...totalsOf(lines) };
};
