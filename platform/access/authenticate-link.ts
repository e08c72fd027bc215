/**
 * Links: who has one that was sent to a customer, and no key. Its token stands in the path, so no log, metric or trace
 * may have a path. The one place that reads a token.
 */
import { timingSafeEqual } from 'node:crypto';
import { isIPv6 } from 'node:net';
import { hashApiKey, type World } from '#schemas/api-key.ts';
import { FailureError } from '#schemas/failures.ts';
import { mayBeQuoteLinkToken } from '#schemas/quote-link.ts';
import type { OrganizationTier } from '#schemas/rate-tiers.ts';
import type { Queryable } from '../stores/postgres.ts';
import { type Caller, createLanes } from './authenticate.ts';

export type AuthenticateLink = (token: string) => Promise<Caller>;

/** The one scope of who has a link; no key has it, and no route of keys asks for it. */
export const linkScope = 'link';

type LinkRow = { id: string; link_hash: Buffer; organization_id: string; tier: OrganizationTier; world: World };

/** Throws `QUOTE_LINK_NOT_FOUND`, always the same, for whatever is no token of a quote. */
export const createAuthenticateLink = (postgres: Queryable, pepper: string): AuthenticateLink => {
  const inLane = createLanes();
  return async (token) => {
    if (!mayBeQuoteLinkToken(token)) throw new FailureError('QUOTE_LINK_NOT_FOUND');
    const linkHash = hashApiKey(pepper, token);
    const { rows } = await inLane(() => postgres.query<LinkRow>('SELECT * FROM find_quote_link($1)', [linkHash]));
    const row = rows[0];
    if (!row || !timingSafeEqual(row.link_hash, linkHash)) throw new FailureError('QUOTE_LINK_NOT_FOUND');
    return {
      organizationId: row.organization_id,
      tier: row.tier,
      keyId: 'quote-link',
      kind: 'link',
      world: row.world,
      linkedTo: row.id,
      expiresMs: undefined,
      scopes: [linkScope],
      signingSecret: undefined,
    };
  };
};

/** As URLs write it: without leading zeros, the longest run of them left out. */
const groupsOf = (address: string): string[] => {
  const text = new URL(`http://[${address.split('%')[0]}]/`).hostname.slice(1, -1);
  const [before = '', after] = text.split('::');
  const head = before === '' ? [] : before.split(':');
  const tail = after === undefined || after === '' ? [] : after.split(':');
  return [...head, ...Array<string>(8 - head.length - tail.length).fill('0'), ...tail];
};

/**
 * What is counted as one address: of IPv6 the network of 64 bits, as whoever has one of its addresses has them all; an
 * IPv4 address that is written as one of IPv6 is itself.
 */
export const addressOf = (ip: string): string => {
  if (!isIPv6(ip)) return `address ${ip}`;
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(ip)?.[1];
  return mapped === undefined ? `address ${groupsOf(ip).slice(0, 4).join(':')}::/64` : `address ${mapped}`;
};
