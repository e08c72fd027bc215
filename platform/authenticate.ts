/** API keys: who calls, and with which scopes. The one place that reads a key; a route says only the scope that it needs. */

import type { FastifyInstance, FastifyRequest } from 'fastify';
import { hashApiKey, mayBeApiKey } from '#schemas/api-key.ts';
import { FailureError } from '#schemas/failures.ts';
import { type Clock, within } from './clock.ts';
import type { Queryable } from './postgres.ts';

export type Caller = { readonly organizationId: string; readonly keyId: string; readonly scopes: readonly string[] };

type Entry = { readonly caller: Caller | undefined; readonly readMs: number };

export type Authenticate = (authorization: string | undefined) => Promise<Caller>;

/** A key that was revoked is refused after this time by every process. */
const freshMs = 2_000;
/** While PostgreSQL is away, a key that was good goes on for this long: ingest must not stop with it. */
const staleMsMax = 600_000;
/** A PostgreSQL that hangs is as good as away: a known key is not kept waiting for it. */
const refreshMsMax = 500;
const entriesMax = 10_000;

const findKey = async (postgres: Queryable, hash: Buffer): Promise<Caller | undefined> => {
  const { rows } = await postgres.query<{ id: string; organization_id: string; scopes: string[] }>(
    `SELECT id, organization_id, scopes FROM api_keys
     WHERE key_hash = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())`,
    [hash],
  );
  const row = rows[0];
  return row && { organizationId: row.organization_id, keyId: row.id, scopes: row.scopes };
};

/** Throws `UNKNOWN_API_KEY`, or the fault of PostgreSQL where a key has to be looked up that is not known yet. */
export const createAuthenticate = (postgres: Queryable, pepper: string, clock: Clock): Authenticate => {
  const entries = new Map<string, Entry>();
  const refreshing = new Map<string, Promise<Entry>>();
  const refresh = (id: string, hash: Buffer): Promise<Entry> => {
    const running = refreshing.get(id);
    if (running) return running;
    const started = findKey(postgres, hash)
      .then((caller) => {
        const entry = { caller, readMs: clock.nowMs() };
        // Bounded, also against a flood of unknown keys: the oldest entry makes room.
        if (entries.size >= entriesMax) entries.delete(entries.keys().next().value ?? '');
        entries.delete(id);
        entries.set(id, entry);
        return entry;
      })
      .finally(() => refreshing.delete(id));
    refreshing.set(id, started);
    return started;
  };
  return async (authorization) => {
    const key = /^Bearer ([\x21-\x7e]{1,256})$/i.exec(authorization ?? '')?.[1];
    if (key === undefined || !mayBeApiKey(key)) throw new FailureError('UNKNOWN_API_KEY');
    const hash = hashApiKey(pepper, key);
    const id = hash.toString('base64');
    let entry = entries.get(id);
    const ageMs = entry ? clock.nowMs() - entry.readMs : Number.POSITIVE_INFINITY;
    if (!entry || ageMs >= freshMs) {
      try {
        entry = await (entry?.caller ? within(refreshMsMax, refresh(id, hash)) : refresh(id, hash));
      } catch (error) {
        if (!entry?.caller || ageMs > staleMsMax) throw error;
      }
    }
    if (!entry.caller) throw new FailureError('UNKNOWN_API_KEY');
    return entry.caller;
  };
};

/** `admin` stands for all scopes; `read:*` and `write:*` for all of a kind. */
export const hasScope = (caller: Caller, scope: string): boolean =>
  caller.scopes.some((held) => held === scope || held === 'admin' || (held.endsWith(':*') && scope.startsWith(held.slice(0, -1))));

declare module 'fastify' {
  interface FastifyRequest {
    caller: Caller;
  }
  interface FastifyContextConfig {
    /** The scope that a caller of this route needs; a route without one is public. */
    scope?: string;
  }
}

/** Checks key and scope of every route that names a scope, before its body is read. */
export const guardRoutes = (app: FastifyInstance, authenticate: Authenticate): void => {
  app.decorateRequest('caller');
  app.addHook('onRequest', async (request: FastifyRequest) => {
    const scope = request.routeOptions.config.scope;
    if (scope === undefined) return;
    request.caller = await authenticate(request.headers.authorization);
    if (!hasScope(request.caller, scope)) throw new FailureError('MISSING_SCOPE', `This route needs the scope ${scope}`);
  });
};
