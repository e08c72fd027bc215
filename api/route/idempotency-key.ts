/** Under which name an answer is kept, and for which request. Pure. */
import { hash } from 'node:crypto';
import canonicalize from 'canonicalize';
import type { FastifyRequest } from 'fastify';
import type { Caller } from '#platform/access/authenticate.ts';
import { FailureError } from '#schemas/failures.ts';

const keyShape = /^[\x21-\x7e]{1,255}$/;

/** The header or its alias; 400 where it is no key, or where the two differ. */
export const idempotencyKeyOf = (request: FastifyRequest): string | undefined => {
  const { 'idempotency-key': key, 'x-idempotency-key': alias } = request.headers;
  const given = key ?? alias;
  if (given === undefined) return undefined;
  if (typeof given !== 'string' || !keyShape.test(given) || (alias !== undefined && alias !== given))
    throw new FailureError('BAD_REQUEST', undefined, [
      {
        field: 'Idempotency-Key',
        code: 'wrong_format',
        message: 'must be 1 to 255 visible ASCII characters, given once',
      },
    ]);
  return given;
};

/** A link has keys of its own, so that its holder takes none of the organization's: no key of a caller has a space. */
export const keyOfCaller = ({ linkedTo }: Caller, key: string): string =>
  linkedTo === undefined ? key : `${linkedTo} ${key}`;

/** How a key is bound beside its scopes; nothing of one that is not. */
const boundsOf = ({ expiresMs, signingSecret }: Caller): string[] => [
  ...(expiresMs === undefined ? [] : [`expires ${expiresMs}`]),
  ...(signingSecret === undefined ? [] : ['signs']),
];

/**
 * Who asks is a part of it, by what it may do: an answer may hold a key, which is repeated to nobody who could not have
 * made it. So where keys are made, the bounds of the caller's own count, too; elsewhere they don't, as a client may
 * rotate its key between two attempts, which bounds the old one.
 */
export const fingerprintOf = ({ method, url, body, caller }: FastifyRequest, makesKeys: boolean): Buffer => {
  const who = [caller.scopes.toSorted().join(' '), ...(makesKeys ? boundsOf(caller) : [])];
  return hash('sha256', [method, url, ...who, body === undefined ? '' : canonicalize(body)].join('\n'), 'buffer');
};
