/**
 * The lines of a delta: what a billing period comes to now, less what was billed of it so far, charge by charge. Both
 * sides were rated whole, so tiers, packages, commitments and caps come out as if all usage had been in time. Nothing
 * is rounded here: a difference of printed amounts is one. Pure.
 */
import type { DraftInvoice, InvoiceLine, LineCorrection } from '#schemas/invoice.ts';
import { type PreciseAmount, subtractAmounts, zeroAmount, zeroPrecise } from '#schemas/money.ts';
import type { Period } from '#schemas/period.ts';
import { subtractQuantities, zeroQuantity } from '#schemas/quantity.ts';
import type { RatedLine } from '#schemas/rated-line.ts';
import type { PeriodCorrection } from './close-period.ts';

/** The delta that lines are of. */
type Delta = {
  readonly billingPeriodId: string;
  readonly correction: PeriodCorrection;
  readonly span: Period;
};

type Charge = { readonly before: RatedLine | undefined; readonly now: RatedLine | undefined };

/** One entry a charge: what holds over all charges may have come to be, or be gone. */
const byCharge = (now: readonly RatedLine[], before: readonly RatedLine[]): Charge[] => {
  const codes = new Set([...now, ...before].map(({ chargeCode }) => chargeCode));
  const find = (lines: readonly RatedLine[], code: string) => lines.find(({ chargeCode }) => chargeCode === code);
  return [...codes].map((code) => ({ before: find(before, code), now: find(now, code) }));
};

const correctionOf = (
  { before, now }: Charge,
  { billingPeriodId, invoiceId, before: last }: PeriodCorrection,
): LineCorrection => ({
  invoiceId,
  billingPeriodId,
  watermark: last.watermark,
  quantityBefore: before?.quantity ?? zeroQuantity,
  quantityNow: now?.quantity ?? zeroQuantity,
  amountBefore: before?.amount ?? zeroAmount,
  amountNow: now?.amount ?? zeroAmount,
});

const toLine = (charge: Charge, delta: Delta): (Omit<InvoiceLine, 'position'> & { readonly place: number })[] => {
  const { before, now } = charge;
  const line = now ?? before;
  if (!line) return [];
  const corrects = correctionOf(charge, delta.correction);
  const quantity = subtractQuantities(corrects.quantityNow, corrects.quantityBefore);
  const amount = subtractAmounts(corrects.amountNow, corrects.amountBefore);
  if (quantity === zeroQuantity && amount === zeroAmount) return [];
  return [
    {
      place: line.position,
      kind: 'delta',
      billingPeriodId: delta.billingPeriodId,
      chargeCode: line.chargeCode,
      description: `${line.chargeName} (correction)`,
      meter: line.meter,
      quantity,
      rounding: line.rounding,
      precise: ((now?.precise ?? zeroPrecise) - (before?.precise ?? zeroPrecise)) as PreciseAmount,
      unitAmount: null,
      amount,
      discounts: [],
      taxes: [],
      steps: [],
      servicePeriod: delta.span,
      corrects,
    },
  ];
};

/** In the order of the plan; of a charge that comes to the same there is none. */
export const deltaLines = (
  now: readonly RatedLine[],
  before: readonly RatedLine[],
  delta: Delta,
): Omit<InvoiceLine, 'position'>[] =>
  byCharge(now, before)
    .flatMap((charge) => toLine(charge, delta))
    .toSorted((a, b) => a.place - b.place)
    .map(({ place: _place, ...line }) => line);

/** Whether an invoice would be of deltas alone, and of none that anything is due for. */
export const isUnchanged = ({ periods, lines }: Pick<DraftInvoice, 'periods' | 'lines'>): boolean =>
  periods.length > 0 &&
  periods.every(({ correctsId }) => correctsId !== undefined) &&
  lines.every(({ amount }) => amount === zeroAmount);
