/**
 * What a billing period comes to now, less what was billed of it so far, charge by charge. Both sides were rated whole,
 * so tiers, packages, commitments and caps come out as if all usage had been in time. Nothing is rounded here: the
 * difference of printed amounts is a printed amount. Pure.
 */
import { type Amount, type PreciseAmount, subtractAmounts, zeroAmount, zeroPrecise } from '#schemas/money.ts';
import { type Quantity, subtractQuantities, zeroQuantity } from '#schemas/quantity.ts';
import type { RatedLine } from '#schemas/rated-line.ts';

export type RatedDelta = {
  /** Of the charge: as it was rated now, or before, where it is gone. */
  readonly line: RatedLine;
  readonly description: string;
  readonly quantityBefore: Quantity;
  readonly quantityNow: Quantity;
  readonly amountBefore: Amount;
  readonly amountNow: Amount;
  /** Now less before. */
  readonly quantity: Quantity;
  readonly precise: PreciseAmount;
  readonly amount: Amount;
};

/** What a line says that corrects a charge. */
export const correctionOf = (chargeName: string): string => `${chargeName} (correction)`;

const deltaOf = (line: RatedLine, now: RatedLine | undefined, before: RatedLine | undefined): RatedDelta => {
  const [quantityBefore, quantityNow] = [before?.quantity ?? zeroQuantity, now?.quantity ?? zeroQuantity];
  const [amountBefore, amountNow] = [before?.amount ?? zeroAmount, now?.amount ?? zeroAmount];
  const quantity = subtractQuantities(quantityNow, quantityBefore);
  const amount = subtractAmounts(amountNow, amountBefore);
  const precise = ((now?.precise ?? zeroPrecise) - (before?.precise ?? zeroPrecise)) as PreciseAmount;
  const description = correctionOf(line.chargeName);
  return { line, description, quantityBefore, quantityNow, amountBefore, amountNow, quantity, precise, amount };
};

/** Of all charges, in the order of the plan. What holds over all of them may have come to be, or be gone. */
export const chargeDeltas = (now: readonly RatedLine[], before: readonly RatedLine[]): RatedDelta[] => {
  const [ofNow, ofBefore] = [now, before].map((lines) => new Map(lines.map((line) => [line.chargeCode, line])));
  // Of a charge that is in both, the line of now.
  const lines = new Map([...before, ...now].map((line) => [line.chargeCode, line]));
  return [...lines]
    .map(([code, line]) => deltaOf(line, ofNow?.get(code), ofBefore?.get(code)))
    .toSorted((a, b) => a.line.position - b.line.position);
};

export const isDifferent = ({ quantity, amount }: RatedDelta): boolean =>
  quantity !== zeroQuantity || amount !== zeroAmount;

/** Of a charge that comes to the same there is none. */
export const ratedDeltas = (now: readonly RatedLine[], before: readonly RatedLine[]): RatedDelta[] =>
  chargeDeltas(now, before).filter(isDifferent);
