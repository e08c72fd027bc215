/** What a request asks of the state of an issued invoice -> the state that it gets, or what is wrong. Pure. */
import { FailureError, type Fault } from '#schemas/failures.ts';
import type { InvoiceState } from '#schemas/invoice.ts';
import {
  type Amount,
  formatMinorUnits,
  isWholeMinorUnits,
  parseAmount,
  subtractAmounts,
  zeroAmount,
} from '#schemas/money.ts';
import { changeInvoiceState } from '../../invoicer/invoices/invoice-state.ts';
import { refuseFaults } from '../route/resource-fields.ts';
import type { IssuedState } from './invoice-states.postgres.ts';

export type AskedState = { readonly state?: InvoiceState; readonly amount_paid?: string };
export type StateAndPaid = Pick<IssuedState, 'state' | 'amountPaid'>;

const greater = (a: Amount, b: Amount): Amount => (a > b ? a : b);

const readPaid = (text: string | undefined, currency: IssuedState['currency'], faults: Fault[]): Amount | undefined => {
  if (text === undefined) return undefined;
  const amount = parseAmount(text);
  const refuse = (code: string, message: string) => void faults.push({ field: 'amount_paid', code, message });
  if (amount === undefined) refuse('not_a_decimal', 'must be a decimal such as "250.00"');
  else if (amount <= 0n) refuse('not_positive', 'must be above zero: it is what was paid in all');
  else if (!isWholeMinorUnits(amount, currency))
    refuse('too_precise', `must have no more digits after the point than ${currency} has`);
  return amount;
};

const refuseChange = (from: InvoiceState, to: InvoiceState, amountPaid: Amount): void => {
  const change = changeInvoiceState(from, to, amountPaid > 0n);
  const refuse = (message: string): never => {
    throw new FailureError('INVOICE_STATE_CONFLICT', `${message.charAt(0).toUpperCase()}${message.slice(1)}.`);
  };
  if (!change.ok) refuse(change.message);
  if (to === 'voided')
    refuse('an invoice is voided by a credit note of all of it, POST /v1/credit-notes, and by nothing else');
};

/** Of what is left to be paid of it in all, `payable`. */
const paidFault = (
  to: InvoiceState,
  paid: Amount | undefined,
  payable: Amount,
  of: IssuedState,
): string | undefined => {
  const all = formatMinorUnits(payable, of.currency);
  if (to === 'partly_paid' && paid === undefined) return 'must be there: what was paid of it in all';
  if (paid === undefined) return undefined;
  if (to !== 'partly_paid' && to !== 'paid') return `must not stand beside the state ${to}`;
  if (paid > payable) return `must be at most ${all}, which is what is to be paid of it`;
  if (to === 'partly_paid' && paid === payable) return `must be below ${all}: that is all of it, and its state is paid`;
  return to === 'paid' && paid < payable ? `must be ${all}, or be left out: paid is all of it` : undefined;
};

/** Throws what is wrong: faults of the request, then what its state does not allow, then amounts that do not fit. */
export const askedState = (before: IssuedState, asked: AskedState): StateAndPaid => {
  const { state: from, amountPaid, currency } = before;
  const faults: Fault[] = [];
  const paid = readPaid(asked.amount_paid, currency, faults);
  refuseFaults(faults);
  if (asked.state === undefined && paid === undefined) return { state: from, amountPaid };
  const payable = greater(subtractAmounts(before.total, before.amountCredited), zeroAmount);
  const following = paid !== undefined && paid < payable ? 'partly_paid' : 'paid';
  const to = asked.state ?? following;
  // More of it was paid: the state stays.
  const isMorePaid = from === 'partly_paid' && to === 'partly_paid';
  if (!isMorePaid) refuseChange(from, to, amountPaid);
  const message = paidFault(to, paid, payable, before);
  if (message !== undefined)
    refuseFaults([{ field: 'amount_paid', code: paid === undefined ? 'missing' : 'out_of_range', message }]);
  const state = to as IssuedState['state'];
  if (state === 'paid') return { state, amountPaid: greater(amountPaid, payable) };
  return { state, amountPaid: paid ?? amountPaid };
};
