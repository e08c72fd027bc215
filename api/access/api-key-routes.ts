/** `/v1/api-keys`. The secret of a key stands in the answer that makes it, and nowhere else. */

import { randomBytes } from 'node:crypto';
import { hintOfApiKey, newApiKey, type World } from '#schemas/api-key.ts';
import { FailureError } from '#schemas/failures.ts';
import { ApiKey, KeyRotation, NewApiKey, NewApiKeyAnswer, NewApiKeyDocument } from '#schemas/http/api-keys.ts';
import { IdParam } from '#schemas/http/fields.ts';
import { formatInstant } from '#schemas/instant.ts';
import type { Instant } from '#schemas/period.ts';
import type { Db, ObjectChange, Routes } from '../route/define-route.ts';
import { listJson, listSchema } from '../route/lists.ts';
import { created, found, headToJson } from '../route/resource-fields.ts';
import type { ApiKeyStore, ApiKey as Key, NewApiKey as NewKey } from './api-keys.postgres.ts';
import {
  refuseBeyond,
  refuseBeyondPublic,
  refuseIfRevoked,
  refuseLooser,
  refuseUnlessRotatable,
  rotatedEnd,
  stateOf,
} from './grantable-keys.ts';

export type ApiKeyPorts = {
  readonly apiKeys: ApiKeyStore;
  /** The keyed hash under which a key is found. */
  readonly hashKey: (key: string) => Buffer;
};

const timeJson = (instant: Instant | null) => (instant === null ? null : formatInstant(instant));

const keyJson = (key: Key, nowMs: number) => ({
  id: key.id,
  name: key.name,
  kind: key.kind,
  hint: key.hint,
  world: key.world,
  scopes: key.scopes,
  state: stateOf(key, nowMs),
  signed_requests: key.signed,
  last_used_at: timeJson(key.lastUsedAt),
  expires_at: timeJson(key.expiresAt),
  revoked_at: timeJson(key.revokedAt),
  rotated_to: key.rotatedTo,
  ...headToJson(key),
});

/** What of a key changes with its version: time ends it and use marks it by themselves, and a digest must not. */
const lasting = ({ state: _state, last_used_at: _lastUse, ...key }: ReturnType<typeof keyJson>) => key;

const endedBy = (how: 'rotated' | 'revoked', before: Key, after: Key, nowMs: number): ObjectChange => ({
  action: `api_key.${how}`,
  objectType: 'api_key',
  objectId: after.id,
  before: lasting(keyJson(before, nowMs)),
  after: lasting(keyJson(after, nowMs)),
});

const newSigningSecret = (): string => `mrsig_${randomBytes(32).toString('base64url')}`;

type KeyOf = Omit<NewKey, 'hint' | 'hash' | 'signingSecret'> & {
  readonly world: World;
  readonly signed: boolean;
};

export const apiKeyRoutes = ({ get, list, change }: Routes, { apiKeys, hashKey }: ApiKeyPorts): void => {
  const tag = 'API keys';
  const scope = 'admin:keys';
  /** Makes a key: the answer, which alone shows its secrets, with the audit entry of its making. */
  const make = async (db: Db, { world, signed, ...of }: KeyOf, nowMs: number) => {
    const key = newApiKey(randomBytes, world, of.kind);
    const signingSecret = signed ? newSigningSecret() : undefined;
    const made = { ...of, hint: hintOfApiKey(key), hash: hashKey(key), signingSecret };
    const shown = keyJson(found(await apiKeys.addKey(db, made, new Date(nowMs)), 'API_KEY_NOT_FOUND'), nowMs);
    return {
      ...created('api_key', '/v1/api-keys', shown, { lasting }),
      body: { ...shown, key, signing_secret: signingSecret ?? null },
    };
  };

  change(
    {
      method: 'POST',
      url: '/v1/api-keys',
      operation: 'createApiKey',
      tag,
      summary: 'Create an API key',
      scope,
      rateClass: 'sensitive',
      body: NewApiKey,
      documentedBody: NewApiKeyDocument,
      answers: { 201: NewApiKeyAnswer },
      failures: ['SCOPE_NOT_GRANTABLE', 'KEY_NOT_GRANTABLE'],
    },
    async ({ db, caller, body, nowMs }) => {
      const { name, scopes, kind = 'secret', world, expires_in_seconds: expiresInSeconds, metadata = {} } = body;
      const signed = body.signed_requests ?? false;
      if (kind === 'publishable') refuseBeyondPublic(scopes, signed);
      refuseBeyond(caller, scopes);
      const place = await apiKeys.findWorld(db, world);
      if (place === undefined)
        throw new FailureError('SCOPE_NOT_GRANTABLE', `A key of the sandbox makes no ${world} key`);
      const expiresAt = expiresInSeconds === undefined ? null : nowMs + expiresInSeconds * 1000;
      refuseLooser(await apiKeys.lockKey(db, caller.keyId), { expiresAt, signed }, 'expires_in_seconds', nowMs);
      return make(db, { ...place, kind, name, scopes, expiresAt, metadata, signed }, nowMs);
    },
  );

  list(
    {
      url: '/v1/api-keys',
      operation: 'listApiKeys',
      tag,
      summary: 'List API keys, of the sandbox too',
      scope,
      list: apiKeys.apiKeyList,
      answers: { 200: listSchema(ApiKey) },
      failures: [],
    },
    async ({ db, query, nowMs }) => listJson(query, await apiKeys.keys(db, query), (row) => keyJson(row, nowMs)),
  );

  get(
    {
      url: '/v1/api-keys/:id',
      operation: 'getApiKey',
      tag,
      summary: 'Read an API key, without its secret',
      scope,
      params: IdParam,
      changesByItself: true,
      answers: { 200: ApiKey },
      failures: ['API_KEY_NOT_FOUND'],
    },
    async ({ db, params, nowMs }) => keyJson(found(await apiKeys.key(db, params.id), 'API_KEY_NOT_FOUND'), nowMs),
  );

  change(
    {
      method: 'POST',
      url: '/v1/api-keys/:id/rotate',
      operation: 'rotateApiKey',
      tag,
      summary: 'Replace an API key; both work for a while',
      scope,
      rateClass: 'sensitive',
      params: IdParam,
      body: KeyRotation,
      answers: { 201: NewApiKeyAnswer },
      failures: ['API_KEY_NOT_FOUND', 'API_KEY_NOT_ACTIVE', 'SCOPE_NOT_GRANTABLE', 'KEY_NOT_GRANTABLE'],
    },
    async ({ db, caller, params, body, nowMs }) => {
      const [asked, maker] = await apiKeys.lockBoth(db, [params.id, caller.keyId]);
      const old = found(asked, 'API_KEY_NOT_FOUND');
      refuseUnlessRotatable(old, nowMs);
      refuseBeyond(caller, old.scopes);
      const { organizationId, kind, name, scopes, expiresAt, metadata, world, signed } = old;
      refuseLooser(maker, { expiresAt, signed }, 'expires_at', nowMs);
      const made = await make(db, { organizationId, kind, name, scopes, expiresAt, metadata, world, signed }, nowMs);
      const end = { expiresAt: new Date(rotatedEnd(old, body.overlap_seconds, nowMs)), rotatedTo: made.body.id };
      const ended = found(await apiKeys.endKey(db, old.id, end, new Date(nowMs)), 'API_KEY_NOT_FOUND');
      return { ...made, changes: [...made.changes, endedBy('rotated', old, ended, nowMs)] };
    },
  );

  change(
    {
      method: 'DELETE',
      url: '/v1/api-keys/:id',
      operation: 'revokeApiKey',
      tag,
      summary: 'Revoke an API key; refused everywhere within 2 seconds',
      scope,
      rateClass: 'sensitive',
      params: IdParam,
      answers: { 200: ApiKey },
      failures: ['API_KEY_NOT_FOUND', 'API_KEY_NOT_ACTIVE'],
    },
    async ({ db, params, nowMs, matchVersion }) => {
      const row = found(await apiKeys.lockKey(db, params.id), 'API_KEY_NOT_FOUND');
      matchVersion(row.version);
      refuseIfRevoked(row);
      const now = new Date(nowMs);
      const ended = found(await apiKeys.endKey(db, row.id, { revokedAt: now }, now), 'API_KEY_NOT_FOUND');
      return { body: keyJson(ended, nowMs), changes: [endedBy('revoked', row, ended, nowMs)] };
    },
  );
};
