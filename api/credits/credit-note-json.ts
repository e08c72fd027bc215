/** Credit notes as callers see them. Pure. */
import { issuedCreditNoteToJson } from '#schemas/credit-note/content.ts';
import { creditNoteToJson1 } from '#schemas/credit-note/content-1.ts';
import { type CreditNote, newestCreditNoteVersion } from '#schemas/credit-note.ts';
import { formatInstant } from '#schemas/instant.ts';
import type { DrawnCreditNote } from '../../invoicer/credits/draw-up-credit.ts';
import type { CreditOrigin } from '../../invoicer/credits/issue-credit.ts';

export type ShownCreditNote = Pick<CreditOrigin, 'deltaId' | 'metadata'> & { readonly note: CreditNote };

export const creditNoteJson = ({ note, deltaId, metadata }: ShownCreditNote) => ({
  ...issuedCreditNoteToJson(note),
  delta_billing_period_id: deltaId,
  metadata,
  // It never changes.
  version: 1,
  created_at: formatInstant(note.issuedAt),
  updated_at: formatInstant(note.issuedAt),
});

/** Without its lines, for lists. */
export const creditNoteHeadJson = (shown: ShownCreditNote) => {
  const { lines: _lines, ...head } = creditNoteJson(shown);
  return head;
};

/** What has no number yet says nothing of where it would stand. */
export const drawnCreditNoteJson = (drawn: DrawnCreditNote) => {
  const unnumbered = { contentVersion: newestCreditNoteVersion, id: '', number: 0, documentNumber: '', issuedAt: 0 };
  const {
    id: _id,
    tenant: _tenant,
    number: _number,
    document_number: _documentNumber,
    issued_at: _issuedAt,
    issuing_entity_id: _issuingEntityId,
    seller: _seller,
    buyer_digest: _buyerDigest,
    ...shown
  } = creditNoteToJson1({ ...drawn, ...unnumbered });
  return shown;
};
