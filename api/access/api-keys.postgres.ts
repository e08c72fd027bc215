/** API keys, and the sandbox that test keys see. */

import { placeOfSigningSecret } from '#platform/access/signing-secret.ts';
import { newId } from '#platform/process/ids.ts';
import type { Vault } from '#platform/secrets/vault.ts';
import type { KeyKind, World } from '#schemas/api-key.ts';
import type { Instant } from '#schemas/period.ts';
import type { Db } from '../route/define-route.ts';
import { listRows } from '../route/list-rows.postgres.ts';
import { defineList, type ListPage } from '../route/lists.ts';
import { headFromRow, type ResourceHead, type ResourceRow } from '../route/resource-fields.ts';

export type ApiKey = ResourceHead & {
  readonly id: string;
  readonly organizationId: string;
  readonly world: World;
  readonly kind: KeyKind;
  readonly name: string;
  readonly hint: string;
  readonly scopes: readonly string[];
  /** Whether it takes signed requests only. */
  readonly signed: boolean;
  readonly lastUsedAt: Instant | null;
  readonly expiresAt: Instant | null;
  readonly revokedAt: Instant | null;
  readonly rotatedTo: string | null;
};

type ApiKeyRow = ResourceRow & {
  id: string;
  organization_id: string;
  world: World;
  kind: KeyKind;
  name: string;
  hint: string;
  scopes: string[];
  signing_secret: Buffer | null;
  last_used_at: Date | null;
  expires_at: Date | null;
  revoked_at: Date | null;
  rotated_to: string | null;
};

const fromRow = (row: ApiKeyRow): ApiKey => ({
  id: row.id,
  organizationId: row.organization_id,
  world: row.world,
  kind: row.kind,
  name: row.name,
  hint: row.hint,
  scopes: row.scopes,
  signed: row.signing_secret !== null,
  lastUsedAt: row.last_used_at?.getTime() ?? null,
  expiresAt: row.expires_at?.getTime() ?? null,
  revokedAt: row.revoked_at?.getTime() ?? null,
  rotatedTo: row.rotated_to,
  ...headFromRow(row),
});

export type NewApiKey = {
  readonly organizationId: string;
  readonly kind: KeyKind;
  readonly name: string;
  readonly hint: string;
  readonly hash: Buffer;
  readonly scopes: readonly string[];
  readonly signingSecret: string | undefined;
  readonly expiresAt: Instant | null;
  readonly metadata: Record<string, string>;
};

const columns = `k.id, k.organization_id, CASE WHEN o.sandbox_of IS NULL THEN 'live' ELSE 'test' END AS world, k.kind,
  k.name, k.hint, k.scopes, k.signing_secret, k.last_used_at, k.expires_at, k.revoked_at, k.rotated_to, k.metadata,
  k.version, k.created_at, k.updated_at`;
// A key of the live world keeps the keys of its sandbox too: `w.id` is each organization whose keys may keep this one.
const from = `api_keys k JOIN organizations o ON o.id = k.organization_id
  JOIN LATERAL (VALUES (o.id), (o.sandbox_of)) AS w (id) ON w.id IS NOT NULL`;

const apiKeyList = defineList({
  name: 'api-keys',
  columns,
  from,
  id: 'k.id',
  organization: 'w.id',
  sorts: { created_at: { column: 'k.created_at', type: 'timestamptz' } },
  filters: {},
  times: { created_at: 'k.created_at' },
});

const keyOf = async (db: Db, id: string, lock = ''): Promise<ApiKey | undefined> => {
  const { rows } = await db.query<ApiKeyRow>(`SELECT ${columns} FROM ${from} WHERE k.id = $1 AND w.id = $2${lock}`, [
    id,
    db.organizationId,
  ]);
  return rows[0] && fromRow(rows[0]);
};

export const createApiKeyStore = (vault: Vault) => ({
  apiKeyList,
  /**
   * Where a key of that world works, the caller's own where none is named; undefined where there is none, as a sandbox
   * has no live world.
   */
  findWorld: async (
    db: Db,
    world: World | undefined,
  ): Promise<{ organizationId: string; world: World } | undefined> => {
    const { rows } = await db.query<{ organizationId: string; world: World; own: boolean }>(
      `SELECT id AS "organizationId", CASE WHEN sandbox_of IS NULL THEN 'live' ELSE 'test' END AS world, id = $1 AS own
       FROM organizations WHERE $1 IN (id, sandbox_of)`,
      [db.organizationId],
    );
    const place = rows.find((row) => (world === undefined ? row.own : row.world === world));
    return place && { organizationId: place.organizationId, world: place.world };
  },
  addKey: async (db: Db, key: NewApiKey, now: Date): Promise<ApiKey | undefined> => {
    const id = newId('key');
    const { organizationId, signingSecret } = key;
    const sealed =
      signingSecret === undefined
        ? null
        : await vault.seal(db, placeOfSigningSecret(organizationId, id), Buffer.from(signingSecret));
    await db.query(
      `INSERT INTO api_keys (id, organization_id, kind, name, hint, key_hash, scopes, signing_secret, expires_at,
         metadata, version, created_at, updated_at)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 1, $11, $11)`,
      [
        id,
        organizationId,
        key.kind,
        key.name,
        key.hint,
        key.hash,
        key.scopes,
        sealed,
        key.expiresAt === null ? null : new Date(key.expiresAt),
        key.metadata,
        now,
      ],
    );
    return keyOf(db, id);
  },
  key: (db: Db, id: string): Promise<ApiKey | undefined> => keyOf(db, id),
  lockKey: (db: Db, id: string): Promise<ApiKey | undefined> => keyOf(db, id, ' FOR NO KEY UPDATE OF k'),
  /**
   * Two keys, one after the other in the order of their ids: two requests for the same two never wait for each other.
   */
  lockBoth: async (
    db: Db,
    ids: readonly [string, string],
  ): Promise<readonly [ApiKey | undefined, ApiKey | undefined]> => {
    const { rows } = await db.query<ApiKeyRow>(
      `SELECT ${columns} FROM ${from} WHERE k.id = ANY ($1) AND w.id = $2 ORDER BY k.id FOR NO KEY UPDATE OF k`,
      [ids, db.organizationId],
    );
    const [first, second] = ids;
    const keys = rows.map(fromRow);
    return [keys.find(({ id }) => id === first), keys.find(({ id }) => id === second)];
  },
  /** A key ends at the given time, and names the one that takes its place where there is one. */
  endKey: async (
    db: Db,
    id: string,
    end: { expiresAt?: Date; revokedAt?: Date; rotatedTo?: string },
    now: Date,
  ): Promise<ApiKey | undefined> => {
    await db.query(
      `UPDATE api_keys SET expires_at = coalesce($2, expires_at), revoked_at = coalesce($3, revoked_at),
         rotated_to = coalesce($4, rotated_to), version = version + 1, updated_at = $5 WHERE id = $1`,
      [id, end.expiresAt ?? null, end.revokedAt ?? null, end.rotatedTo ?? null, now],
    );
    return keyOf(db, id);
  },
  keys: async (db: Db, page: ListPage) => {
    const { rows, ...rest } = await listRows<ApiKeyRow>(db, apiKeyList, db.organizationId, page);
    return { ...rest, rows: rows.map(fromRow) };
  },
});

export type ApiKeyStore = ReturnType<typeof createApiKeyStore>;
