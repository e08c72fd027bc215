/** What was charged in advance, and what credits and credit notes gave back of it, as the tables in memory have it. */
import type { InvoiceLine } from '#schemas/invoice.ts';
import type { CreditedLines } from '../../../invoicer/corrections/credit-lines.ts';
import {
  type CreditedCharge,
  type CreditedCharges,
  creditedCharge,
  givenBackOf,
  type IssuedCreditLine,
  type NamedParts,
} from '../../../invoicer/corrections/credited-charges.ts';
import { periodsIn } from './cut-store.ts';
import { invoiceOf, type PeriodRecord, type Tables } from './tables.ts';

/** The charge in advance that a credit takes back some of. */
export const chargeOf = (tables: Tables, { timing, part, subscriptionId }: PeriodRecord): PeriodRecord | undefined =>
  timing === 'delta'
    ? undefined
    : periodsIn(tables).find(
        (one) =>
          one.timing === 'advance' &&
          one.subscriptionId === subscriptionId &&
          one.part.billing.end === part.billing.end &&
          one.part.span.start === part.pricedAt,
      );

export const chargesOf = (tables: Tables, creditIds: readonly string[]): [string, PeriodRecord][] =>
  creditIds.flatMap((id): [string, PeriodRecord][] => {
    const charge = chargeOf(tables, tables.periods.get(id) as PeriodRecord);
    return charge ? [[id, charge]] : [];
  });

export const issuedLines = (tables: Tables, { id, invoiceId }: PeriodRecord): InvoiceLine[] =>
  (invoiceOf(tables, invoiceId)?.lines ?? []).filter(({ billingPeriodId }) => billingPeriodId === id);

const notesOf = ({ creditNotes }: Tables, invoiceId: string | undefined, position: number): NamedParts[] =>
  creditNotes
    .filter(({ invoice }) => invoice.id === invoiceId)
    .flatMap(({ lines }) => lines.filter(({ invoiceLine }) => invoiceLine === position));

const creditsOf = (tables: Tables, charge: PeriodRecord, { chargeCode }: InvoiceLine): IssuedCreditLine[] =>
  periodsIn(tables)
    .filter((one) => one.timing === 'credit' && one.invoiceId !== undefined && chargeOf(tables, one)?.id === charge.id)
    .flatMap((credit) =>
      issuedLines(tables, credit)
        .filter((line) => line.chargeCode === chargeCode)
        .map((line) => ({ ...line, undone: notesOf(tables, credit.invoiceId, line.position) })),
    );

const creditedOf = (tables: Tables, charge: PeriodRecord): [string, CreditedCharge][] =>
  issuedLines(tables, charge).flatMap((line): [string, CreditedCharge][] => {
    const notes = notesOf(tables, charge.invoiceId, line.position);
    if (notes.length === 0 || line.amount <= 0n) return [];
    const key = `${charge.invoiceId} ${line.position}`;
    return [[line.chargeCode ?? '', creditedCharge(key, line, notes, creditsOf(tables, charge, line), 'USD')]];
  });

export const creditedChargesOf = (tables: Tables, creditIds: readonly string[]): CreditedCharges =>
  new Map(
    chargesOf(tables, creditIds)
      .map(([id, charge]) => [id, new Map(creditedOf(tables, charge))] as const)
      .filter(([, charges]) => charges.size > 0),
  );

/** By credits, of the lines of an invoice of which credit notes gave back `credited`. */
export const givenBackBy = (tables: Tables, invoiceId: string, credited: CreditedLines): CreditedLines =>
  new Map(
    periodsIn(tables)
      .filter((period) => period.timing === 'advance' && period.invoiceId === invoiceId)
      .flatMap((charge) =>
        issuedLines(tables, charge).flatMap((line) => {
          const credits = line.amount > 0n ? creditsOf(tables, charge, line) : [];
          if (credits.length === 0) return [];
          return [[line.position, givenBackOf(line, credits, credited.get(line.position), 'USD')] as const];
        }),
      ),
  );
