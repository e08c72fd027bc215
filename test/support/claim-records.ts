/** Claims as the gateway hands them over, made up. */
import { randomBytes } from 'node:crypto';
import type { AcceptPorts, ClaimAnswer, ClaimException } from '../../ingest/gateway/accept-events.ts';
import { claimBytes, digestBytes } from '../../ingest/parse/event-block.ts';

export type Claims = AcceptPorts['claims'];

export const newClaim = (): Buffer => randomBytes(claimBytes);

export const newClaims = (count: number): Buffer[] => Array.from({ length: count }, newClaim);

/** The same key with another payload. */
export const otherPayload = (claim: Buffer): Buffer =>
  Buffer.concat([claim.subarray(0, digestBytes), randomBytes(claimBytes - digestBytes)]);

/** A key that lies in the same bucket of Redis. */
export const neighbour = (claim: Buffer): Buffer => Buffer.concat([claim.subarray(0, 2), randomBytes(claimBytes - 2)]);

export const answerTo = async (claims: Claims, asked: readonly Buffer[], assignedMs = 0): Promise<ClaimAnswer> => {
  const answer = await claims.claim(Buffer.concat(asked), assignedMs);
  if (answer === undefined) throw new Error('the claims did not answer');
  return answer;
};

export type ClaimStatus = 'won' | ClaimException['status'];

/** What became of each claim, in order. */
export const statusesOf = ({ exceptions }: ClaimAnswer, count: number): ClaimStatus[] => {
  const statuses = new Array<ClaimStatus>(count).fill('won');
  for (const { position, status } of exceptions) statuses[position] = status;
  return statuses;
};

/** Asks, and says what became of each. */
export const ask = async (claims: Claims, ...asked: readonly Buffer[]): Promise<ClaimStatus[]> =>
  statusesOf(await answerTo(claims, asked), asked.length);
