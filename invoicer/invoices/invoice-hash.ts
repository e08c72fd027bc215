/**
 * The hash chain over a tenant's issued invoices: hash(n) = SHA-256 of hash(n-1) in lower-case hex, a line feed, and
 * the invoice's RFC 8785 canonical form. Whoever changes, removes, inserts or reorders an invoice breaks it at that row
 * and would have to recompute every later hash. Rows cut off at the end leave a chain that holds together, so the head
 * is compared with one kept elsewhere. One chain per tenant and not one for all: issuing would otherwise wait for every
 * other tenant.
 */
import { createHash } from 'node:crypto';
import { canonicalJson } from '#platform/json/canonical-json.ts';
import { contentToJson } from '#schemas/invoice/content.ts';
import type { ContentVersion, InvoiceContent, IssuedInvoice } from '#schemas/invoice.ts';

/** What stands before a tenant's first invoice. It needs no tenant in it, as every canonical form names its own. */
export const genesisHash = '0'.repeat(64);

/** The content without both hashes and without what may change later, in the version that the invoice was issued in. */
export const canonicalInvoice = (invoice: InvoiceContent): string =>
  canonicalContent(invoice.contentVersion, contentToJson[invoice.contentVersion](invoice));

/** For a reader that has the published JSON and not the rows. The version is a part of what is hashed. */
export const canonicalContent = (version: ContentVersion, content: object): string =>
  canonicalJson({ canonical_version: version, ...content });

/** `previousHash` as 64 ASCII characters; 64 lower-case hex digits back. */
export const chainHash = (previousHash: string, canonical: string): string =>
  createHash('sha256').update(`${previousHash}\n${canonical}`, 'utf8').digest('hex');

export const ChainFault = {
  /** Numbers begin at 1 and have no gap: an invoice is missing, twice there, or out of order. */
  number: 'number_out_of_sequence',
  previousHash: 'previous_hash_differs',
  /** The row holds something that no invoice can hold, such as an amount with a fraction of a cent. */
  unreadable: 'content_unreadable',
  hash: 'hash_differs',
  /** The last invoice is not the one that was noted elsewhere as the last. */
  head: 'head_differs',
} as const;
export type ChainFault = (typeof ChainFault)[keyof typeof ChainFault];

export type ChainHead = { readonly number: number; readonly hash: string };
export type ChainVerdict =
  | { readonly ok: true }
  | { readonly ok: false; readonly number: number; readonly reason: ChainFault };

/** All issued invoices of one tenant by number -> whether they are as issued; otherwise the first row that is not. */
export const verifyChain = (invoices: readonly IssuedInvoice[], head?: ChainHead): ChainVerdict => {
  let last: ChainHead = { number: 0, hash: genesisHash };
  for (const invoice of invoices) {
    const reason = linkFault(invoice, last);
    if (reason) return { ok: false, number: invoice.number, reason };
    last = { number: invoice.number, hash: invoice.hash };
  }
  if (head && (head.number !== last.number || head.hash !== last.hash))
    return { ok: false, number: last.number, reason: 'head_differs' };
  return { ok: true };
};

/** One step of `verifyChain`, for a reader that streams more invoices than fit into memory. */
export const linkFault = (invoice: IssuedInvoice, last: ChainHead): ChainFault | undefined => {
  if (invoice.number !== last.number + 1) return ChainFault.number;
  if (invoice.previousHash !== last.hash) return ChainFault.previousHash;
  let canonical: string;
  try {
    canonical = canonicalInvoice(invoice);
  } catch {
    return ChainFault.unreadable;
  }
  return chainHash(last.hash, canonical) === invoice.hash ? undefined : ChainFault.hash;
};
