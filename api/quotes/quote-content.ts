/** The digest of what a quote offers: what was sent is what is accepted. Pure. */
import { hash } from 'node:crypto';
import canonicalize from 'canonicalize';
import type { QuoteContent } from '#schemas/quote.ts';

/** SHA-256 over the canonical form (RFC 8785), in hexadecimal. */
export const quoteContentHash = (quote: QuoteContent): string =>
  hash(
    'sha256',
    canonicalize({
      customer_id: quote.customerId,
      plan_id: quote.planId,
      plan_version_id: quote.planVersionId,
      currency: quote.currency,
      terms: quote.terms,
      starts_at: quote.startsAt,
      valid_until: quote.validUntil,
    }) as string,
    'hex',
  );
