/** The checks of one credit note: of its hash, its place in the chain, its sums, and its invoice. Pure. */
import type { CreditNote } from '#schemas/credit-note.ts';
import type { CreditNoteCheckName } from '#schemas/http/credit-notes.ts';
import type { IssuedInvoice } from '#schemas/invoice.ts';
import { type Amount, addAmounts, formatMinorUnits } from '#schemas/money.ts';
import { creditedTotal } from '../../invoicer/credits/asked-credit.ts';
import { canonicalCreditNote } from '../../invoicer/credits/credit-note-hash.ts';
import type { LockedInvoice } from '../../invoicer/credits/issue-credit.ts';
import { canonicalInvoice, chainHash, genesisHash } from '../../invoicer/invoices/invoice-hash.ts';
import { totalsOf } from '../../invoicer/invoices/invoice-totals.ts';
import type { ChainNeighbours } from './credit-notes.postgres.ts';

export type Check = {
  readonly check: CreditNoteCheckName;
  readonly result: 'passed' | 'failed';
  readonly detail: string;
};

const outcome = (check: CreditNoteCheckName, isPassed: boolean, detail: string): Check => ({
  check,
  result: isPassed ? 'passed' : 'failed',
  detail,
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

const hashOf = (note: CreditNote): string => chainHash(note.previousHash, canonicalCreditNote(note));
const hashOfInvoice = (invoice: IssuedInvoice): string => chainHash(invoice.previousHash, canonicalInvoice(invoice));

/** `invoice` has its billing periods; `credited` is what stands of it with all of its credit notes. */
export const verifyCreditNote = (
  note: CreditNote,
  { before, after }: ChainNeighbours,
  invoice: IssuedInvoice,
  credited: LockedInvoice,
): readonly Check[] => {
  const { number, hash, currency } = note;
  const previous = before ?? (number === 1 ? genesisHash : undefined);
  const [own, ofInvoice] = [hashOf(note), hashOfInvoice(invoice)];
  const sum = formatMinorUnits(credited.state.amountCredited, currency);
  const total = formatMinorUnits(note.total, currency);
  return [
    outcome('hash', own === hash, `what it says, and the hash before it, hash to ${own}; it was issued as ${hash}`),
    outcome('previous', note.previousHash === previous, `the one before it has the hash ${previous ?? 'of nothing'}`),
    outcome('next', after === hash, `what follows it names the hash ${after ?? 'of nothing'}`),
    outcome('sums', sumsUp(note), `its lines are to come to ${total}`),
    outcome(
      'invoice',
      ofInvoice === invoice.hash,
      `the invoice hashes to ${ofInvoice}; it was issued as ${invoice.hash}`,
    ),
    outcome('within_invoice', fits(credited), `${sum} of ${formatMinorUnits(invoice.total, currency)} are credited`),
  ];
};
