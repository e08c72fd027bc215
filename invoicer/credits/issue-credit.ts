/**
 * The use case of credit notes, for whoever has a transaction: the API, and the invoicer where usage that came late is
 * credited. The order of effects, all in that one transaction of PostgreSQL:
 *
 *   1. lock the state of the invoice; read the invoice, and what was credited of it so far (`lockInvoice`);
 *   2. decide what is credited, and draw it up (draw-up-credit.ts): whoever calls decides between 1 and 3;
 *   3. lock the series of the organization's credit notes: its counter, and the head of its chain; read how far the
 *      series of their document numbers went, which the same lock guards; number and chain the credit note;
 *   4. write it with its lines, the counters and the head; raise what was credited of the invoice, and change its
 *      state.
 *
 * The state of an invoice is locked before the series, everywhere. So credits of one invoice wait for each other and
 * see what was credited before them, a number is taken only by a credit note that exists, and either all of it happened
 * or none.
 */
import assert from 'node:assert/strict';
import type { Queryable } from '#platform/stores/postgres.ts';
import { type CreditNote, newestCreditNoteVersion } from '#schemas/credit-note.ts';
import type { IssuedInvoice } from '#schemas/invoice.ts';
import { creditNoteFormat, type IssuingEntity } from '#schemas/issuing-entity.ts';
import type { Instant } from '#schemas/period.ts';
import type { CreditedLines } from '../corrections/credit-lines.ts';
import { type ChainHead, chainHash } from '../invoices/invoice-hash.ts';
import { type NumberingSeries, numberingFrom } from '../invoices/number-documents.ts';
import { canonicalCreditNote } from './credit-note-hash.ts';
import { type CreditedState, type DrawnCreditNote, stateAfterCredit } from './draw-up-credit.ts';

/** A transaction for one organization. */
export type CreditDb = Queryable & { readonly organizationId: string };

/** An issued invoice, and what credits of it go by. */
export type LockedInvoice = {
  readonly invoice: IssuedInvoice;
  readonly state: CreditedState;
  /** By credit notes. */
  readonly credited: CreditedLines;
  /** By credits of what was charged in advance, which are lines of later invoices: no more than credit notes leave. */
  readonly givenBack: CreditedLines;
  /** Whether a later invoice takes back some of it, as its usage was amended. */
  readonly isTakenBack: boolean;
  /** Where the customer lives by a test clock, what that says. */
  readonly clockNow: Instant | null;
  /** Of the customer: what the document of a credit note is written by. */
  readonly language: string | null;
  readonly timeZone: string;
};

/** What a credit note comes of, and what its caller notes of it. */
export type CreditOrigin = {
  readonly metadata: Readonly<Record<string, string>>;
  /** The delta that it gives back, by its billing period; null of what somebody asked for. */
  readonly deltaId: string | null;
};

/** Of what somebody asked for. */
export const askedWith = (metadata: CreditOrigin['metadata']): CreditOrigin => ({ metadata, deltaId: null });

export type NewCreditNote = {
  readonly note: CreditNote;
  /** What is kept beside what is hashed. */
  readonly beside: Pick<LockedInvoice, 'language' | 'timeZone'> & CreditOrigin;
  readonly numbering: readonly NumberingSeries[];
  readonly state: CreditedState;
};

export type IssueCreditPorts = {
  /** Step 1. Undefined where no such invoice is issued. */
  readonly lockInvoice: (db: CreditDb, invoiceId: string) => Promise<LockedInvoice | undefined>;
  /** The same for who writes nothing, and without a lock: it may be another a moment later. */
  readonly lookAtInvoice: (db: CreditDb, invoiceId: string) => Promise<LockedInvoice | undefined>;
  /** Step 3. */
  readonly lockSeries: (
    db: CreditDb,
  ) => Promise<{ readonly head: ChainHead; readonly numbering: readonly NumberingSeries[] }>;
  readonly issuingEntity: (db: CreditDb, id: string) => Promise<IssuingEntity | undefined>;
  /** Step 4; `now` is of the process. */
  readonly writeCreditNote: (db: CreditDb, issued: NewCreditNote, now: Date) => Promise<void>;
  readonly newCreditNoteId: () => string;
};

export type IssuedCredit = { readonly note: CreditNote; readonly state: CreditedState };

/** What of the state of its invoice a credit note changed: what was credited alone, or the state too. */
export const stateAction = (before: CreditedState['state'], after: CreditedState['state']): string =>
  `invoice_state.${after === before ? 'credited' : after}`;

/** The entries of the audit log that are due for a credit note, where nobody shows it as callers see it. */
export const creditChanges = (before: LockedInvoice, { note, state }: IssuedCredit) => [
  { action: 'credit_note.issued', objectType: 'credit_note', objectId: note.id, afterDigest: note.hash },
  {
    action: stateAction(before.state.state, state.state),
    objectType: 'invoice_state',
    objectId: note.invoice.id,
  },
];

const yearOf = (instant: Instant, timeZone: string): number =>
  Temporal.Instant.fromEpochMilliseconds(instant).toZonedDateTimeISO(timeZone).year;

/** Steps 3 and 4, of a credit note that was drawn up under the lock of step 1. */
export const issueCredit = async (
  ports: IssueCreditPorts,
  db: CreditDb,
  { invoice, state, clockNow, language, timeZone }: LockedInvoice,
  drawn: DrawnCreditNote,
  origin: CreditOrigin,
  now: Instant,
): Promise<IssuedCredit> => {
  const { issuingEntityId: entityId } = drawn;
  const entity = entityId === null ? undefined : await ports.issuingEntity(db, entityId);
  assert(entity !== undefined || entityId === null, `the issuing entity ${entityId} is not there`);
  const { head, numbering: stored } = await ports.lockSeries(db);
  const numbering = numberingFrom(stored);
  // Clocks of two processes differ: nothing is credited before it was issued.
  const issuedAt = Math.max(clockNow ?? now, invoice.issuedAt);
  const { format, timeZone: zoneOfYear } = creditNoteFormat(entity);
  const content = {
    ...drawn,
    contentVersion: newestCreditNoteVersion,
    id: ports.newCreditNoteId(),
    number: head.number + 1,
    documentNumber: numbering.next(entityId, format, yearOf(issuedAt, zoneOfYear)),
    issuedAt,
  };
  const note: CreditNote = {
    ...content,
    previousHash: head.hash,
    hash: chainHash(head.hash, canonicalCreditNote(content)),
  };
  const after = stateAfterCredit(invoice.total, state, note.total);
  const beside = { ...origin, language, timeZone };
  const issued = { note, beside, numbering: numbering.moved(), state: after };
  await ports.writeCreditNote(db, issued, new Date(now));
  return { note, state: after };
};
