/** Lines of a one-off invoice as they were asked for -> items with exact amounts, or all their faults. Pure. */
import type { Static } from 'typebox';
import { type Currency, minorUnitsOf } from '#schemas/currency.ts';
import type { Fault } from '#schemas/fault.ts';
import type { NewOneOffInvoice } from '#schemas/http/invoice-drafts.ts';
import { momentOf, type OneOffItem } from '#schemas/invoice/one-off.ts';
import {
  type Amount,
  amountScale,
  fitsDigits,
  formatMinorUnits,
  isWholeMinorUnits,
  multiply,
  parseAmount,
  type RoundingMode,
  roundToMinorUnits,
  sumAmounts,
  toPrecise,
} from '#schemas/money.ts';
import type { Instant, Period } from '#schemas/period.ts';
import { oneQuantity, parseQuantity, type Quantity } from '#schemas/quantity.ts';
import { readInstant } from '../route/resource-fields.ts';

type AskedLine = Static<typeof NewOneOffInvoice>['lines'][number];
type Cost = Pick<OneOffItem, 'quantity' | 'unitAmount' | 'precise' | 'amount'>;

/** Of what is charged in one line. JSON readers that make numbers of amounts still tell its cents apart. */
const integerDigitsMax = 13;

const fits = (amount: Amount): boolean =>
  fitsDigits((amount < 0n ? -amount : amount) as Amount, { integerDigits: integerDigitsMax, decimals: amountScale });

type Refuse = (field: string, code: string, message: string) => undefined;

const readAmount = (text: string, field: string, refuse: Refuse): Amount | undefined => {
  const amount = parseAmount(text);
  if (amount === undefined) return refuse(field, 'not_a_decimal', 'must be a decimal such as "250.00"');
  if (!fits(amount))
    return refuse(field, 'out_of_range', `must have at most ${integerDigitsMax} digits before the point`);
  return amount;
};

const readQuantity = (text: string, refuse: Refuse): Quantity | undefined => {
  const quantity = parseQuantity(text);
  if (quantity === undefined || quantity < 0n)
    return refuse('quantity', 'not_a_decimal', 'must be a decimal that is not negative, such as "2.5"');
  return quantity;
};

const costOfAmount = (line: AskedLine, text: string, currency: Currency, refuse: Refuse): Cost | undefined => {
  if (line.unit_amount !== undefined) refuse('unit_amount', 'not_allowed', 'must not stand beside amount');
  if (line.quantity !== undefined) refuse('quantity', 'not_allowed', 'must not stand beside amount');
  const amount = readAmount(text, 'amount', refuse);
  if (amount === undefined) return undefined;
  if (!isWholeMinorUnits(amount, currency))
    return refuse(
      'amount',
      'too_precise',
      `must have at most ${minorUnitsOf(currency)} digits after the point, as ${currency} has`,
    );
  return { quantity: oneQuantity, unitAmount: null, precise: toPrecise(amount), amount };
};

const costOfUnits = (line: AskedLine, currency: Currency, rounding: RoundingMode, refuse: Refuse): Cost | undefined => {
  if (line.unit_amount === undefined && line.quantity === undefined)
    return refuse('amount', 'missing', 'must be there, or unit_amount and quantity');
  if (line.unit_amount === undefined) refuse('unit_amount', 'missing', 'must be there beside quantity');
  if (line.quantity === undefined) refuse('quantity', 'missing', 'must be there beside unit_amount');
  const unitAmount = line.unit_amount === undefined ? undefined : readAmount(line.unit_amount, 'unit_amount', refuse);
  const quantity = line.quantity === undefined ? undefined : readQuantity(line.quantity, refuse);
  if (unitAmount === undefined || quantity === undefined) return undefined;
  const precise = multiply(unitAmount, quantity);
  const amount = roundToMinorUnits(precise, currency, rounding);
  if (!fits(amount))
    return refuse(
      'unit_amount',
      'out_of_range',
      `must have, times quantity, at most ${integerDigitsMax} digits before the point`,
    );
  return { quantity, unitAmount, precise, amount };
};

const readPeriod = (asked: AskedLine['service_period'], field: string, now: Instant, faults: Fault[]): Period => {
  if (asked === undefined) return momentOf(now);
  const start = readInstant(asked.start, `${field}.start`, faults);
  const end = readInstant(asked.end, `${field}.end`, faults);
  if (start === undefined || end === undefined) return momentOf(now);
  if (end <= start) faults.push({ field: `${field}.end`, code: 'out_of_range', message: 'must be after start' });
  return { start, end };
};

export type OneOffTerms = {
  readonly currency: Currency;
  readonly rounding: RoundingMode;
  readonly now: Instant;
};

/** In their order; the total is not below zero. Faults are at their places. */
export const itemsOf = (
  lines: readonly AskedLine[],
  { currency, rounding, now }: OneOffTerms,
  faults: Fault[],
): readonly OneOffItem[] => {
  const before = faults.length;
  const items = lines.flatMap((line, index): OneOffItem[] => {
    const at = `lines[${index}]`;
    const refuse: Refuse = (field, code, message) => {
      faults.push({ field: `${at}.${field}`, code, message });
      return undefined;
    };
    const cost =
      line.amount === undefined
        ? costOfUnits(line, currency, rounding, refuse)
        : costOfAmount(line, line.amount, currency, refuse);
    const servicePeriod = readPeriod(line.service_period, `${at}.service_period`, now, faults);
    const { description, tax_category: taxCategory = null } = line;
    return cost ? [{ description, ...cost, rounding, servicePeriod, taxCategory }] : [];
  });
  const total = sumAmounts(items.map(({ amount }) => amount));
  if (faults.length === before && total < 0n)
    faults.push({
      field: 'lines',
      code: 'out_of_range',
      message: `must not sum to less than zero, and come to ${formatMinorUnits(total, currency)}`,
    });
  return items;
};
