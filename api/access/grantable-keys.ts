/**
 * Which keys a key may make: none that may more than it, and none that is bound less; and which may be rotated and
 * revoked. Pure.
 */
import { type Caller, covers } from '#platform/access/authenticate.ts';
import { publishableScopes } from '#schemas/api-key.ts';
import { FailureError, type Fault } from '#schemas/failures.ts';
import type { keyStates } from '#schemas/http/api-keys.ts';
import { formatInstant } from '#schemas/instant.ts';
import type { Instant } from '#schemas/period.ts';
import { refuseFaults } from '../route/resource-fields.ts';
import type { ApiKey } from './api-keys.postgres.ts';

export const stateOf = (key: ApiKey, nowMs: number): (typeof keyStates)[number] => {
  if (key.revokedAt !== null) return 'revoked';
  return key.expiresAt !== null && key.expiresAt <= nowMs ? 'expired' : 'active';
};

/** Nobody gets a key, by making or by rotating one, that may more than the key they call with. */
export const refuseBeyond = (caller: Caller, scopes: readonly string[]): void => {
  const beyond = scopes.filter((wanted) => !caller.scopes.some((held) => covers(held, wanted)));
  if (beyond.length > 0)
    throw new FailureError('SCOPE_NOT_GRANTABLE', `The calling key does not hold ${beyond.join(', ')}`);
};

/** Everyone who sees the page has a publishable key, whoever makes it. */
export const refuseBeyondPublic = (scopes: readonly string[], signed: boolean): void =>
  refuseFaults([
    ...scopes.flatMap((scope, index) =>
      (publishableScopes as readonly string[]).includes(scope)
        ? []
        : [
            {
              field: `scopes[${index}]`,
              code: 'not_allowed',
              message: `a publishable key can have ${publishableScopes.join(', ')} alone`,
            },
          ],
    ),
    ...(signed
      ? [
          {
            field: 'signed_requests',
            code: 'not_allowed',
            message: 'a publishable key signs nothing, as a page keeps no secret',
          },
        ]
      : []),
  ]);

type Bounds = { readonly expiresAt: Instant | null; readonly signed: boolean };

/**
 * Nobody gets a key that is bound less than the one they call with, as it is now and for as long as the transaction
 * lasts: a key that is revoked makes none meanwhile.
 */
export const refuseLooser = (
  maker: ApiKey | undefined,
  { expiresAt, signed }: Bounds,
  expiryField: string,
  nowMs: number,
): void => {
  if (maker === undefined || stateOf(maker, nowMs) !== 'active')
    throw new FailureError('KEY_NOT_GRANTABLE', 'The calling key has ended');
  const faults: Fault[] = [];
  const end = maker.expiresAt;
  if (end !== null && (expiresAt === null || expiresAt > end))
    faults.push({
      field: expiryField,
      code: 'out_of_range',
      message: `must be ${formatInstant(end)} at the latest, when the calling key ends`,
    });
  if (maker.signed && !signed)
    faults.push({
      field: 'signed_requests',
      code: 'not_allowed',
      message: 'must be true, as the calling key takes signed requests only',
    });
  if (faults.length > 0) throw new FailureError('KEY_NOT_GRANTABLE', undefined, faults);
};

const overlapSecondsDefault = 86_400;

/** A key is rotated once, while it is active: of two that took its place, nobody would know which to keep. */
export const refuseUnlessRotatable = (key: ApiKey, nowMs: number): void => {
  if (stateOf(key, nowMs) !== 'active' || key.rotatedTo !== null) throw new FailureError('API_KEY_NOT_ACTIVE');
};

/** When a key that is rotated ends: after the overlap, and never later than it would have ended anyway. */
export const rotatedEnd = ({ expiresAt }: ApiKey, overlapSeconds: number | undefined, nowMs: number): Instant =>
  Math.min(nowMs + (overlapSeconds ?? overlapSecondsDefault) * 1000, expiresAt ?? Number.POSITIVE_INFINITY);

/** One that has expired may still be revoked: its end is then written down. */
export const refuseIfRevoked = (key: ApiKey): void => {
  if (key.revokedAt !== null) throw new FailureError('API_KEY_NOT_ACTIVE');
};
