/** What an invoice has from its issue that its draft has not, but for its place in the chain. Pure. */
import type { IssuedInvoice } from '#schemas/invoice.ts';
import type { Instant } from '#schemas/period.ts';
import type { InvoiceGroup } from './invoice-group.ts';
import type { Numbering } from './number-documents.ts';
import { dueAtOf } from './payment-terms.ts';

/** The year of an instant, by the calendar of a zone. */
export const yearsOf = (instant: Instant): ((timeZone: string) => number) => {
  const known = new Map<string, number>();
  const at = Temporal.Instant.fromEpochMilliseconds(instant);
  return (timeZone) => {
    const year = known.get(timeZone) ?? at.toZonedDateTimeISO(timeZone).year;
    known.set(timeZone, year);
    return year;
  };
};

export const issuedTerms = (
  { parties: { terms }, timeZone, buyerDigest, numbers }: InvoiceGroup,
  numbering: Numbering,
  issuedAt: Instant,
  yearIn: (timeZone: string) => number,
): Pick<IssuedInvoice, 'documentNumber' | 'issuedAt' | 'dueAt' | 'buyerDigest'> => ({
  documentNumber: numbering.next(terms.issuingEntityId, numbers.format, yearIn(numbers.timeZone)),
  issuedAt,
  dueAt: dueAtOf(issuedAt, terms.paymentDays, timeZone),
  buyerDigest,
});
