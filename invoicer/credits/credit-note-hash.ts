/** The chain of a tenant's credit notes, hashed as the chain of its invoices is (../invoices/invoice-hash.ts). Pure. */
import canonicalize from 'canonicalize';
import { creditNoteToJson } from '#schemas/credit-note/content.ts';
import type { CreditNote, CreditNoteContent, CreditNoteVersion } from '#schemas/credit-note.ts';
import { ChainFault, type ChainHead, chainHash } from '../invoices/invoice-hash.ts';

/** For a reader that has the published JSON and not the rows. The version is a part of what is hashed. */
export const canonicalCreditContent = (version: CreditNoteVersion, content: object): string =>
  canonicalize({ canonical_version: version, ...content }) as string;

export const canonicalCreditNote = (note: CreditNoteContent): string =>
  canonicalCreditContent(note.contentVersion, creditNoteToJson[note.contentVersion](note));

/** What is wrong with a credit note behind the last one; undefined where it is as it was issued. */
export const creditLinkFault = (note: CreditNote, last: ChainHead): ChainFault | undefined => {
  if (note.number !== last.number + 1) return ChainFault.number;
  if (note.previousHash !== last.hash) return ChainFault.previousHash;
  let canonical: string;
  try {
    canonical = canonicalCreditNote(note);
  } catch {
    return ChainFault.unreadable;
  }
  return chainHash(last.hash, canonical) === note.hash ? undefined : ChainFault.hash;
};
