/**
 * Signed receipts: what a gateway took, in a form that its caller can keep and show. The signature (Ed25519, RFC 8032)
 * is over these texts, each on a line of its own and none behind the last, so that none can slide into the next:
 *
 *   millrace-receipt-1, organization, request_id, received_at, accepted, duplicates, events_digest
 *
 * `events_digest` is SHA-256, in base64url, over the idempotency keys of the events that were accepted or duplicates,
 * in the order of the request: of each the number of its bytes in UTF-8, as 4 bytes with the most significant first,
 * and then these bytes. Rejected: a JWS; its header says by which algorithm it wants to be verified, and who believes
 * that can be made to believe anything.
 */
import { createHash, createPublicKey, verify } from 'node:crypto';

export type ReceiptFields = {
  readonly organization: string;
  readonly request_id: string;
  /** RFC 3339: when the request, or the first block of its lines, was there. */
  readonly received_at: string;
  readonly accepted: number;
  readonly duplicates: number;
  readonly events_digest: string;
};

/** `signature` is in base64url; `key_id` is the thumbprint (RFC 7638) of the key that verifies it. */
export type Receipt = ReceiptFields & { readonly key_id: string; readonly signature: string };

/** A public key as JWK (RFC 8037). */
export type ReceiptKey = {
  readonly kty: 'OKP';
  readonly crv: 'Ed25519';
  readonly x: string;
  readonly kid: string;
  readonly alg: 'EdDSA';
  readonly use: 'sig';
};

/** What is signed. */
export const receiptText = (receipt: ReceiptFields): Buffer =>
  Buffer.from(
    ['millrace-receipt-1', receipt.organization, receipt.request_id, receipt.received_at]
      .concat([String(receipt.accepted), String(receipt.duplicates), receipt.events_digest])
      .join('\n'),
  );

/** The bytes that stand for one key in the digest. */
export const digestPartOf = (key: string): Buffer => {
  const bytes = Buffer.byteLength(key);
  const part = Buffer.allocUnsafe(4 + bytes);
  part.writeUInt32BE(bytes, 0);
  part.write(key, 4);
  return part;
};

export const eventsDigestOf = (keys: Iterable<string>): string => {
  const digest = createHash('sha256');
  for (const key of keys) digest.update(digestPartOf(key));
  return digest.digest('base64url');
};

/** RFC 7638: the members that make the key, in the order of their names. */
export const thumbprintOf = (x: string): string =>
  createHash('sha256')
    .update(JSON.stringify({ crv: 'Ed25519', kty: 'OKP', x }))
    .digest('base64url');

const isSigned = (receipt: Receipt, key: ReceiptKey): boolean => {
  try {
    const publicKey = createPublicKey({ key, format: 'jwk' });
    return (
      publicKey.asymmetricKeyType === 'ed25519' &&
      verify(null, receiptText(receipt), publicKey, Buffer.from(receipt.signature, 'base64url'))
    );
  } catch {
    // A key or a signature that is none.
    return false;
  }
};

export type Verdict = { readonly isValid: true } | { readonly isValid: false; readonly reason: string };

/**
 * Whether the receipt was signed with this key, and is one for these idempotency keys where they are given: accepted
 * and duplicates, in the order of the request.
 */
export const verifyReceipt = (receipt: Receipt, key: ReceiptKey, idempotencyKeys?: readonly string[]): Verdict => {
  if (receipt.key_id !== thumbprintOf(key.x)) return { isValid: false, reason: 'it was signed with another key' };
  if (!isSigned(receipt, key)) return { isValid: false, reason: 'its signature does not fit what it says' };
  if (idempotencyKeys !== undefined && eventsDigestOf(idempotencyKeys) !== receipt.events_digest)
    return { isValid: false, reason: 'it is for other events, or for these in another order' };
  return { isValid: true };
};
