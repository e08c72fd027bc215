/**
 * Signed receipts of what was taken (schemas/receipt.ts). The key is derived from the secret that all gateways of an
 * installation share, so any of them signs with the same one, and nothing has to be kept for it. On request only: a
 * signature costs what parsing dozens of events costs.
 */
import { createHash, createPrivateKey, createPublicKey, hkdfSync, type KeyObject, sign } from 'node:crypto';
import { formatInstant } from '#schemas/instant.ts';
import { digestPartOf, type Receipt, type ReceiptKey, receiptText, thumbprintOf } from '#schemas/receipt.ts';
import { type EventBlock, keyOfRow } from '../parse/event-block.ts';
import type { Outcomes } from './accept-events.ts';

/** PKCS #8 around the 32 bytes of an Ed25519 key (RFC 8410). */
const privateKeyFrom = (seed: Buffer): KeyObject =>
  createPrivateKey({
    key: Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed]),
    format: 'der',
    type: 'pkcs8',
  });

export type ReceiptSigner = { readonly key: ReceiptKey; readonly sign: (text: Buffer) => string };

export const createReceiptSigner = (secret: string): ReceiptSigner => {
  const privateKey = privateKeyFrom(Buffer.from(hkdfSync('sha256', secret, '', 'millrace receipts 1', 32)));
  const { x = '' } = createPublicKey(privateKey).export({ format: 'jwk' });
  return {
    key: { kty: 'OKP', crv: 'Ed25519', x, kid: thumbprintOf(x), alg: 'EdDSA', use: 'sig' },
    sign: (text) => sign(null, text, privateKey).toString('base64url'),
  };
};

export type ReceiptOrigin = {
  readonly organization: string;
  readonly requestId: string;
  readonly receivedAtMs: number;
};

/** A receipt in the making: blocks are added in the order of the request. */
export type ReceiptDraft = {
  readonly add: (block: EventBlock, outcomes: Outcomes) => void;
  readonly sign: (counts: { readonly accepted: number; readonly duplicates: number }) => Receipt;
};

export const draftReceipt = ({ key, sign }: ReceiptSigner, origin: ReceiptOrigin): ReceiptDraft => {
  const digest = createHash('sha256');
  return {
    add: (block, { statuses }) => {
      for (const [position, place] of block.places.entries())
        if (statuses[place] === 'accepted' || statuses[place] === 'duplicate')
          digest.update(digestPartOf(keyOfRow(block, position)));
    },
    sign: ({ accepted, duplicates }) => {
      const fields = {
        organization: origin.organization,
        request_id: origin.requestId,
        received_at: formatInstant(origin.receivedAtMs),
        accepted,
        duplicates,
        events_digest: digest.digest('base64url'),
      };
      return { ...fields, key_id: key.kid, signature: sign(receiptText(fields)) };
    },
  };
};
