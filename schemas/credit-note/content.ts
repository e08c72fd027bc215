/** What is hashed of a credit note, in the version that it was issued in. A new version is a file and a line here. */
import { creditNoteToJson1 } from '#schemas/credit-note/content-1.ts';
import type { CreditNote, CreditNoteContent, CreditNoteVersion } from '#schemas/credit-note.ts';

export const creditNoteToJson = {
  1: creditNoteToJson1,
} as const satisfies Record<CreditNoteVersion, (note: CreditNoteContent) => object>;

/** With both hashes: what is published. Hashed is what is left without `content_version` and the hashes. */
export const issuedCreditNoteToJson = (note: CreditNote) => ({
  content_version: note.contentVersion,
  ...creditNoteToJson[note.contentVersion](note),
  previous_hash: note.previousHash,
  hash: note.hash,
});
