/** Prices as a test writes them, their JSON, and what they cost as it reads it: decimals as text. */
import { formatAmount, formatPreciseAmount } from '#schemas/money.ts';
import { type Price, priceFromJson } from '#schemas/price/price.ts';
import { formatQuantity, parseQuantity, type Quantity } from '#schemas/quantity.ts';
import type { Priced, PriceStep } from '#schemas/rated-line.ts';
import { priceUsage } from '../../rater/price/price-usage.ts';
import type { Parts } from '../../rater/price/usage.ts';

export const priceOf = (json: unknown): Price => {
  const parsed = priceFromJson(json);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.faults));
  return parsed.value;
};

/** "field code" of each fault, the part that clients may rely on. */
export const faultsOf = (json: unknown): string[] => {
  const parsed = priceFromJson(json);
  return parsed.ok ? [] : parsed.faults.map(({ field, code }) => `${field} ${code}`);
};

export const quantityOf = (text: string): Quantity => {
  const quantity = parseQuantity(text);
  if (quantity === undefined) throw new Error(`not a quantity: ${text}`);
  return quantity;
};

/** By the name of a part: what was measured, and of how many events. */
export type PartsJson = Readonly<Record<string, readonly [quantity: string, events?: number]>>;

export const partsOf = (json: PartsJson): Parts =>
  new Map(
    Object.entries(json).map(([name, [quantity, events = 1]]) => [
      name,
      { quantity: quantityOf(quantity), events: BigInt(events) },
    ]),
  );

const sumOf = (json: PartsJson): Quantity =>
  [...partsOf(json).values()].reduce((sum, { quantity }) => sum + quantity, 0n) as Quantity;

/** With parts, the quantity is their sum unless it is said. */
export const pricedOf = (json: unknown, quantity: string | undefined, parts: PartsJson = {}): Priced =>
  priceUsage(priceOf(json), quantity === undefined ? sumOf(parts) : quantityOf(quantity), partsOf(parts));

/** The exact amount. */
export const costOf = (json: unknown, quantity: string | undefined, parts?: PartsJson): string =>
  formatPreciseAmount(pricedOf(json, quantity, parts).precise);

/** A step as a line: "units 0..10: 8; 8 x 1.5 + 2 = 14". */
export const stepText = (step: PriceStep): string => {
  const to = step.to === null ? '' : formatQuantity(step.to);
  const [from, units, priced] = [step.from, step.units, step.priced].map(formatQuantity);
  const [unitAmount, flatAmount] = [step.unitAmount, step.flatAmount].map(formatAmount);
  const amount = formatPreciseAmount(step.amount);
  const cell = step.cell ? `${JSON.stringify(step.cell)} ` : '';
  return `${cell}${step.kind} ${from}..${to}: ${units}; ${priced} x ${unitAmount} + ${flatAmount} = ${amount}`;
};

export const stepsOf = (json: unknown, quantity: string | undefined, parts?: PartsJson): string[] =>
  pricedOf(json, quantity, parts).steps.map(stepText);
