/**
 * Signed requests: `X-Signature: t=<unix seconds>,v1=<hex HMAC-SHA256>` over time, method, path with query, and body,
 * each on a line of its own, so that none can slide into the next. Several `v1` may stand there while a secret is being
 * changed.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';

/** How far the signer's clock may be off, and for how long a signed request may be sent again. */
const signatureToleranceSeconds = 300;

export type SignedRequest = { readonly method: string; readonly path: string; readonly body: Buffer };

const hmacOf = (secret: string, seconds: number, { method, path, body }: SignedRequest): Buffer =>
  createHmac('sha256', secret).update(`${seconds}\n${method}\n${path}\n`).update(body).digest();

/** The value of the header; `nowMs` in milliseconds since 1970. */
export const signRequest = (secret: string, nowMs: number, request: SignedRequest): string => {
  const seconds = Math.floor(nowMs / 1000);
  return `t=${seconds},v1=${hmacOf(secret, seconds, request).toString('hex')}`;
};

const headerShape = /^t=(\d{1,12})((?:,v1=[0-9a-f]{64}){1,4})$/;

/** Why the signature is not good, in words for the caller; undefined where it is. */
export const signatureFault = (
  header: string | undefined,
  secret: string,
  nowMs: number,
  request: SignedRequest,
): string | undefined => {
  if (header === undefined) return 'This key takes signed requests only: X-Signature is missing';
  const [, time = '', signatures = ''] = headerShape.exec(header) ?? [];
  if (time === '') return 'X-Signature must have the form t=<unix seconds>,v1=<64 hex digits>';
  const seconds = Number(time);
  if (Math.abs(nowMs / 1000 - seconds) > signatureToleranceSeconds)
    return `The time of X-Signature is more than ${signatureToleranceSeconds} seconds off`;
  const expected = hmacOf(secret, seconds, request);
  const good = signatures
    .split(',v1=')
    .slice(1)
    .some((signature) => timingSafeEqual(Buffer.from(signature, 'hex'), expected));
  return good
    ? undefined
    : 'X-Signature does not match time, method, path and body under the signing secret of this key';
};
