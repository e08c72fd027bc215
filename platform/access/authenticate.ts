/** API keys: who calls, and with which scopes. The one place that reads a key. */
import { hash, timingSafeEqual } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { hashApiKey, type KeyKind, mayBeApiKey, publishableScopes, type World } from '#schemas/api-key.ts';
import { FailureError } from '#schemas/failures.ts';
import type { OrganizationTier } from '#schemas/rate-tiers.ts';
import { type Clock, LateError, within } from '../process/clock.ts';
import type { Queryable } from '../stores/postgres.ts';
import { UnavailableError } from '../stores/retry.ts';

export type Caller = {
  /** The organization, or its sandbox for a test key: all that a caller can see lies in it. */
  readonly organizationId: string;
  readonly tier: OrganizationTier;
  readonly keyId: string;
  /** `link`: no key at all, but a link that was sent to a customer. */
  readonly kind: KeyKind | 'link';
  readonly world: World;
  /** What the link is to, where the caller has no key. */
  readonly linkedTo?: string;
  /** Undefined where the key works until it is revoked. */
  readonly expiresMs: number | undefined;
  readonly scopes: readonly string[];
  /** Sealed; a key that has one takes signed requests only. */
  readonly signingSecret: Buffer | undefined;
};

type KeyRow = {
  id: string;
  key_hash: Buffer;
  organization_id: string;
  scopes: string[];
  expires_at: Date | null;
  revoked_at: Date | null;
  signing_secret: Buffer | null;
  tier: OrganizationTier;
  kind: KeyKind;
  world: World;
};

type Entry = { readonly caller: Caller | undefined; readonly readMs: number; usedMs: number };

export type Authenticate = (authorization: string | undefined) => Promise<Caller>;

/** A key that was revoked is refused after this time by every process. */
const freshMs = 2_000;
/** While PostgreSQL is away, a key that was good goes on for this long: ingest must not stop with it. */
const staleMsMax = 600_000;
/** A PostgreSQL that hangs is as good as away: a known key is not kept waiting for it. */
const refreshMsMax = 500;
/** Of good keys, and of others. */
const entriesMax = 10_000;
/** How often the last use of a key is written down. */
const touchEveryMs = 60_000;
/** Of keys that are not known yet. */
const unknownLookupsMax = 4;
const unknownWaitingMax = 1_000;

/** Whatever is stored of a publishable key, what everyone may read is all that it can do. */
const scopesOf = ({ kind, scopes }: KeyRow): readonly string[] =>
  kind === 'publishable' ? publishableScopes.filter((scope) => scopes.includes(scope)) : scopes;

const findKey = async (postgres: Queryable, keyHash: Buffer, nowMs: number): Promise<Entry> => {
  const { rows } = await postgres.query<KeyRow>('SELECT * FROM find_api_key($1)', [keyHash]);
  const row = rows[0];
  // The look-up goes by the keyed hash, so its timing tells nothing of a key; the comparison here leaves nothing to the
  // index either.
  const known = row !== undefined && row.revoked_at === null && timingSafeEqual(row.key_hash, keyHash);
  const caller = known
    ? {
        organizationId: row.organization_id,
        tier: row.tier,
        keyId: row.id,
        kind: row.kind,
        world: row.world,
        expiresMs: row.expires_at?.getTime(),
        scopes: scopesOf(row),
        signingSecret: row.signing_secret ?? undefined,
      }
    : undefined;
  return { caller, readMs: nowMs, usedMs: 0 };
};

/**
 * Looks up a few keys at a time, and lets so many wait: a flood of invented keys, which anyone can send, leaves
 * connections to PostgreSQL for the keys that are known. Throws `OVERLOADED` beyond that.
 */
export const createLanes = () => {
  let busy = 0;
  const waiting: (() => void)[] = [];
  return async <T>(work: () => Promise<T>): Promise<T> => {
    if (busy >= unknownLookupsMax) {
      if (waiting.length >= unknownWaitingMax)
        throw new FailureError('OVERLOADED', 'Too many keys are being looked up');
      await new Promise<void>((resolve) => waiting.push(resolve));
    } else busy += 1;
    try {
      return await work();
    } finally {
      // The lane goes to the next one, or is free.
      const next = waiting.shift();
      if (next) next();
      else busy -= 1;
    }
  };
};

/**
 * Throws `UNKNOWN_API_KEY`, `OVERLOADED`, or the fault of PostgreSQL where a key has to be looked up that is not known
 * yet.
 */
export const createAuthenticate = (postgres: Queryable, pepper: string, clock: Clock): Authenticate => {
  // Apart, so that a flood of invented keys makes none forgotten that is good: it may be asked for while PostgreSQL is
  // away.
  const good = new LRUCache<string, Entry>({ max: entriesMax });
  const refused = new LRUCache<string, Entry>({ max: entriesMax });
  const entryOf = (id: string): Entry | undefined => good.get(id) ?? refused.get(id);
  const remember = (id: string, entry: Entry): Entry => {
    entry.usedMs = entryOf(id)?.usedMs ?? 0;
    good.delete(id);
    refused.delete(id);
    (entry.caller ? good : refused).set(id, entry);
    return entry;
  };
  const refreshing = new Map<string, Promise<Entry>>();
  const inLane = createLanes();
  const refresh = (id: string, key: string): Promise<Entry> => {
    const running = refreshing.get(id);
    if (running) return running;
    const look = () => findKey(postgres, hashApiKey(pepper, key), clock.nowMs());
    const started = (good.has(id) ? look() : inLane(look))
      .then((entry) => remember(id, entry))
      .finally(() => refreshing.delete(id));
    refreshing.set(id, started);
    return started;
  };
  const noteUse = (entry: Entry, keyId: string, nowMs: number) => {
    if (Math.abs(nowMs - entry.usedMs) < touchEveryMs) return;
    entry.usedMs = nowMs;
    // Beside the request: that it could not be written down harms nobody, and the next minute tries again.
    postgres.query('SELECT touch_api_keys($1, $2)', [[keyId], new Date(nowMs)]).catch(() => {});
  };
  return async (authorization) => {
    const key = /^Bearer ([\x21-\x7e]{1,256})$/i.exec(authorization ?? '')?.[1];
    if (key === undefined) throw new FailureError('UNKNOWN_API_KEY');
    // A digest, so that no key is remembered; a plain one, which costs a fifth of the keyed one that is asked for
    // below.
    const id = hash('sha256', key, 'base64');
    const nowMs = clock.nowMs();
    let entry = entryOf(id);
    if (!entry && !mayBeApiKey(key)) throw new FailureError('UNKNOWN_API_KEY');
    // A clock that was set back must not keep a key alive until the old time comes again.
    const ageMs = entry ? Math.abs(nowMs - entry.readMs) : Number.POSITIVE_INFINITY;
    if (!entry || ageMs >= freshMs) {
      try {
        entry = await (entry?.caller ? within(refreshMsMax, refresh(id, key)) : refresh(id, key));
      } catch (error) {
        if (!entry?.caller || ageMs > staleMsMax)
          throw error instanceof LateError ? new UnavailableError('postgres', error) : error;
      }
    }
    const { caller } = entry;
    if (!caller || (caller.expiresMs !== undefined && caller.expiresMs <= nowMs))
      throw new FailureError('UNKNOWN_API_KEY');
    noteUse(entry, caller.keyId, nowMs);
    return caller;
  };
};

/**
 * Whether one scope that a key holds covers another: `admin` stands for all, `read:*` and `write:*` for all of a kind.
 */
export const covers = (held: string, scope: string): boolean =>
  held === scope || held === 'admin' || (held.endsWith(':*') && scope.startsWith(held.slice(0, -1)));

export const hasScope = (caller: Caller, scope: string): boolean => caller.scopes.some((held) => covers(held, scope));
