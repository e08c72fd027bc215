/** The checks of one credit note: of its hash, its place in the chain, its sums, and its invoice. Pure. */
import type { CreditNote } from '#schemas/credit-note.ts';
import type { IssuedInvoice } from '#schemas/invoice.ts';
import { type Amount, addAmounts, formatMinorUnits } from '#schemas/money.ts';
import { creditedTotal } from '../../invoicer/credits/asked-credit.ts';
import { canonicalCreditNote } from '../../invoicer/credits/credit-note-hash.ts';
import type { LockedInvoice } from '../../invoicer/credits/issue-credit.ts';
import { canonicalInvoice, chainHash, genesisHash } from '../../invoicer/invoices/invoice-hash.ts';
import { totalsOf } from '../../invoicer/invoices/invoice-totals.ts';
import type { ChainNeighbours } from './credit-notes.postgres.ts';

export type Check = { readonly name: string; readonly passed: boolean; readonly detail: string | null };

const check = (name: string, passed: boolean, detail: string): Check => ({
  name,
  passed,
  detail: passed ? null : detail,
});

const sumsUp = (note: CreditNote): boolean => {
  const totals = totalsOf(note.lines);
  const same = (a: readonly { amount: Amount }[], b: typeof a): boolean =>
    a.length === b.length && a.every(({ amount }, index) => amount === b[index]?.amount);
  return (
    totals.subtotal === note.subtotal &&
    totals.discountTotal === note.discountTotal &&
    totals.taxTotal === note.taxTotal &&
    totals.total === note.total &&
    same(totals.discounts, note.discounts) &&
    same(totals.taxes, note.taxes) &&
    addAmounts(note.prePaymentAmount, note.postPaymentAmount) === note.total
  );
};

/** Of each line no more than it charged, and of all no more than the total. */
const fits = ({ invoice, credited, state }: LockedInvoice): boolean => {
  const total = creditedTotal({ currency: invoice.currency, total: invoice.total, lines: invoice.lines, credited });
  const amounts = invoice.lines.map(({ position, amount }) => [amount, credited.get(position)?.amount ?? 0n] as const);
  return (
    total === state.amountCredited &&
    total <= invoice.total &&
    amounts.every(([most, is]) => (most < 0n ? is >= most && is <= 0n : is <= most && is >= 0n))
  );
};

const hashHolds = (invoice: IssuedInvoice): boolean =>
  chainHash(invoice.previousHash, canonicalInvoice(invoice)) === invoice.hash;

/** `invoice` has its billing periods; `credited` is what stands of it with all of its credit notes. */
export const creditNoteChecks = (
  note: CreditNote,
  { before, after }: ChainNeighbours,
  invoice: IssuedInvoice,
  credited: LockedInvoice,
): readonly Check[] => {
  const isHashed = chainHash(note.previousHash, canonicalCreditNote(note)) === note.hash;
  const previous = before ?? (note.number === 1 ? genesisHash : undefined);
  const sum = formatMinorUnits(credited.state.amountCredited, invoice.currency);
  return [
    check('hash', isHashed, 'what it says is not what was hashed'),
    check('previous', note.previousHash === previous, 'the credit note before it has another hash, or is gone'),
    check('next', after === note.hash, 'the credit note behind it, or the head of the chain, names another hash'),
    check('sums', sumsUp(note), 'its totals are not the sums of its lines'),
    check('invoice', hashHolds(invoice), 'the invoice is not as it was issued'),
    check(
      'within_invoice',
      fits(credited),
      `${sum} are credited, which is not what its credit notes and lines come to`,
    ),
  ];
};
