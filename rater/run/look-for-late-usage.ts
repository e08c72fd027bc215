/**
 * The use case of looking for late usage: what was stored since the last look, and changes what a billed period
 * measures. What it costs follows what is new, and not what was ever billed. Whether a delta comes to anything is for
 * rating to say: here it is enough that it may.
 */
import type { Instant } from '#schemas/period.ts';

/** Between which sequences is looked, the first one exclusive, and up to when usage is billed. */
export type Look = { readonly after: bigint; readonly upTo: bigint; readonly billedUntil: Instant };

/** When events of a customer occurred, by the name that they bear, and the highest sequence of them. */
export type Arrivals = {
  readonly customer: string;
  readonly firstAt: Instant;
  readonly lastAt: Instant;
  readonly sequence: bigint;
};

export type LateUsage = Look & { readonly arrivals: readonly Arrivals[] };

export type LookPorts = {
  /** Undefined where nothing is billed, and where it was looked up to there before. */
  readonly nextLook: (organizationId: string, upTo: bigint) => Promise<Look | undefined>;
  /** Of what occurred before usage is billed. */
  readonly arrivals: (organizationId: string, look: Look) => Promise<readonly Arrivals[]>;
};

/** All up to `upTo` is stored and checked. Amendments stand in PostgreSQL, and are found where this is written down. */
export const lookForLateUsage = async (
  { nextLook, arrivals }: LookPorts,
  organizationId: string,
  upTo: bigint,
): Promise<LateUsage | undefined> => {
  const look = await nextLook(organizationId, upTo);
  return look && { ...look, arrivals: await arrivals(organizationId, look) };
};
