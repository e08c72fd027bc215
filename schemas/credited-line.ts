/**
 * A line of an invoice that takes back what was charged in advance, where credit notes gave some of it back before: it
 * is the line as it was rated, with one step behind the others that takes off what was given back. Pure.
 */
import { type Amount, addAmounts, type PreciseAmount, toPrecise, zeroAmount } from '#schemas/money.ts';
import { zeroQuantity } from '#schemas/quantity.ts';
import {
  type PriceStep,
  type PriceStepJson,
  priceStepFromJson,
  type RatedLine,
  StepKind,
} from '#schemas/rated-line.ts';

type SteppedLine = {
  readonly amount: Amount;
  readonly precise: PreciseAmount;
  readonly steps: readonly PriceStep[];
};

const creditedStep = (amount: Amount): PriceStep => ({
  kind: StepKind.credited,
  from: zeroQuantity,
  to: zeroQuantity,
  units: zeroQuantity,
  priced: zeroQuantity,
  unitAmount: zeroAmount,
  flatAmount: amount,
  amount: toPrecise(amount),
});

/** What of a line was given back before; zero of all others. */
export const creditedBefore = ({ steps }: Pick<SteppedLine, 'steps'>): Amount => {
  const last = steps.at(-1);
  return last?.kind === StepKind.credited ? last.flatAmount : zeroAmount;
};

/** The same of steps as they are stored; zero of what can't be read. */
export const creditedBeforeIn = (steps: string): Amount => {
  // Few have it, and the others need no reading.
  if (!steps.includes(`"${StepKind.credited}"`)) return zeroAmount;
  try {
    return creditedBefore({ steps: (JSON.parse(steps) as PriceStepJson[]).map(priceStepFromJson) });
  } catch {
    return zeroAmount;
  }
};

/** `amount` of what the line takes back was given back before. */
export const withCreditedBefore = <L extends SteppedLine>(line: L, amount: Amount): L =>
  amount === zeroAmount
    ? line
    : {
        ...line,
        amount: addAmounts(line.amount, amount),
        precise: (line.precise + toPrecise(amount)) as PreciseAmount,
        steps: [...line.steps, creditedStep(amount)],
      };

/**
 * A rated line as it should be printed where its invoice says that `amount` was given back before: of what is no
 * credit, or of more than it takes back, that can't be said.
 */
export const printedOf = (line: RatedLine, amount: Amount): RatedLine =>
  line.timing === 'credit' && amount > zeroAmount && addAmounts(line.amount, amount) <= zeroAmount
    ? withCreditedBefore(line, amount)
    : line;
