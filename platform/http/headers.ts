/** Headers of requests and answers, as the HTTP floor judges and sets them. Pure. */
import type { FailureCode } from '#schemas/failures.ts';

/**
 * What a request may repeat is a list, such as `Accept`. Of these a proxy and we could each take another one, so two
 * are none.
 */
const singleHeaders: ReadonlySet<string> = new Set([
  'authorization',
  'content-encoding',
  'content-length',
  'content-type',
  'expect',
  'host',
  'idempotency-key',
  'if-match',
  'if-none-match',
  'transfer-encoding',
  'x-idempotency-key',
  'x-request-id',
  'x-signature',
]);

export const headersMax = 100;

export type HeaderFault = { readonly code: FailureCode; readonly detail: string };

/** Why a request can't be taken by its headers, which stand as Node gives them: name, value, name, value, ... */
export const faultOfHeaders = (rawHeaders: readonly string[], httpVersion: string): HeaderFault | undefined => {
  // Node also takes 0.9 and 2.0 in the request line of what goes on as 1.1.
  if (httpVersion !== '1.1' && httpVersion !== '1.0')
    return { code: 'BAD_REQUEST', detail: 'Only HTTP/1.1 and HTTP/1.0 are spoken here' };
  const count = rawHeaders.length / 2;
  if (count > headersMax) return { code: 'HEADERS_TOO_LARGE', detail: `The limit is ${headersMax} headers` };
  const seen: string[] = [];
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = (rawHeaders[at] as string).toLowerCase();
    // An attribute of a CloudEvent that is given twice would be joined to another text.
    if (!singleHeaders.has(name) && !name.startsWith('ce-')) continue;
    if (seen.includes(name)) return { code: 'BAD_REQUEST', detail: `The header ${name} is given more than once` };
    seen.push(name);
  }
  if (httpVersion === '1.1' && !seen.includes('host'))
    return { code: 'BAD_REQUEST', detail: 'The header host is missing' };
  return undefined;
};

/** On every answer. A route that may be kept by a cache sets its own `cache-control`. */
export const floorHeaders = (requestId: string, apiVersion: string, isTls: boolean): Record<string, string> => ({
  'x-request-id': requestId,
  'api-version': apiVersion,
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  ...(isTls && { 'strict-transport-security': 'max-age=31536000' }),
});
