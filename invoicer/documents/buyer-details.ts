/** What of a customer stands on its invoices, and the digest by which an invoice names it. Pure. */
import { hash } from 'node:crypto';
import canonicalize from 'canonicalize';
import type { Personal } from '#schemas/http/customers.ts';

export type BuyerDetails = {
  readonly name: string;
  readonly address: NonNullable<Personal['address']> | null;
  readonly tax_ids: NonNullable<Personal['tax_ids']>;
  readonly email: string | null;
};

/** As they are sealed. The salt is 64 hex digits, random for each version: without it nobody can try names. */
export type SaltedDetails = BuyerDetails & { readonly salt: string };

export const buyerDetails = ({ name, address, tax_ids, email }: Personal): BuyerDetails => ({
  name,
  address: address ?? null,
  tax_ids: tax_ids ?? [],
  email: email ?? null,
});

const canonicalDetails = ({ name, address, tax_ids, email }: BuyerDetails): string =>
  canonicalize({ name, address, tax_ids, email }) as string;

export const isSameBuyer = (one: Personal, other: Personal): boolean =>
  canonicalDetails(buyerDetails(one)) === canonicalDetails(buyerDetails(other));

/** SHA-256 of the salt, a line feed, and the canonical form (RFC 8785) of the details; lower-case hex. */
export const buyerDigest = ({ salt, ...details }: SaltedDetails): string =>
  hash('sha256', `${salt}\n${canonicalDetails(details)}`, 'hex');
