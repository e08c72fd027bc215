/** API keys: made, shown once, rotated, expired and revoked; scopes; signed requests. */

import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { newApiKey } from '#schemas/api-key.ts';
import { llmRequest } from '../../support/llm-pro.ts';
import { parts } from '../../support/parts.ts';
import { type ApiAnswer, type Pipeline, startPipeline, until } from '../../support/pipeline.ts';
import { clearTextsIn, dumpOf } from '../../support/sealed-database.ts';
import { type Hosts, makeKey, unique } from '../../support/tenants.ts';

let pipeline: Pipeline;
beforeAll(async () => {
  pipeline = await startPipeline(inject('serverUrls'), { MILLRACE_LOG_LEVEL: 'debug' }, { services: parts.keys });
});
afterAll(() => pipeline?.stop());

const newKey = (body: Record<string, unknown> = { scopes: ['read:meters'] }) => makeKey(pipeline, pipeline.api, body);
const meters = (hosts: Hosts): Promise<ApiAnswer> => hosts.api('GET', '/v1/meters');
const send = (hosts: Hosts, headers: Record<string, string> = {}): Promise<ApiAnswer> =>
  hosts.ingest('POST', '/v1/events', llmRequest(unique(), 'someone', Date.now(), { input: 1, output: 1 }), headers);
const refused = { status: 401, body: { error_code: 'UNKNOWN_API_KEY' } };

/** Lets a key expire in three seconds: taken by what was answered before, refused by what was asked from then on. */
const expectToExpire = async (key: Hosts & { readonly id: string }): Promise<void> => {
  const expiresMs = Date.now() + 3_000;
  await pipeline.asOwner.query('UPDATE api_keys SET expires_at = $2 WHERE id = $1', [key.id, new Date(expiresMs)]);
  const answers: { status: number; beginMs: number; endMs: number }[] = [];
  await until(
    async () => {
      const beginMs = Date.now();
      answers.push({ status: (await meters(key)).status, beginMs, endMs: Date.now() });
      return answers;
    },
    () => answers.at(-1)?.status === 401,
  );
  for (const { status, beginMs, endMs } of answers) {
    if (endMs < expiresMs) expect(status).toBe(200);
    if (beginMs >= expiresMs) expect(status).toBe(401);
  }
};

describe('an API key', () => {
  it('is shown once, in the answer that makes it, and every other answer holds its public part only', async () => {
    const key = await newKey({
      scopes: ['read:meters', 'write:events'],
      signed_requests: true,
      metadata: { for: 'tests' },
    });
    expect(key.shown).toMatchObject({
      state: 'active',
      world: 'live',
      signed_requests: true,
      metadata: { for: 'tests' },
      version: 1,
      expires_at: null,
    });
    expect(key.shown.key).toMatch(/^mr_live_[0-9a-f]{16}_[\w-]{43}[0-9a-f]{6}$/);
    expect(key.shown.signing_secret).toMatch(/^mrsig_[\w-]{43}$/);
    expect(key.key.startsWith(key.shown.hint)).toBe(true);
    const { key: _key, signing_secret: _secret, ...rest } = key.shown;
    expect((await pipeline.api('GET', `/v1/api-keys/${key.id}`)).body).toEqual(rest);
    const listed = await pipeline.api('GET', '/v1/api-keys?limit=1');
    expect(listed.body.items).toEqual([rest]);
    const log = await pipeline.api('GET', `/v1/audit-log?object_id=${key.id}`);
    expect(log.body.items).toMatchObject([
      { action: 'api_key.created', before_digest: null, after_digest: expect.any(String) },
    ]);
    for (const { body } of [listed, log]) {
      expect(JSON.stringify(body)).not.toContain(key.key.slice(24));
      expect(JSON.stringify(body)).not.toContain(key.shown.signing_secret);
    }
  });

  it('that is revoked is refused by API and gateway soon, and stays there to be read', async () => {
    const key = await newKey({ scopes: ['read:meters', 'write:events'] });
    expect([(await meters(key)).status, (await send(key)).status]).toEqual([200, 200]);
    const revoked = await pipeline.api('DELETE', `/v1/api-keys/${key.id}`);
    expect(revoked).toMatchObject({
      status: 200,
      body: { state: 'revoked', revoked_at: expect.any(String), version: 2 },
    });
    // After 2 s at most, where PostgreSQL answers in time: `test/unit/platform/access/authenticate.test.ts`.
    for (const ask of [() => meters(key), () => send(key)]) await until(ask, ({ status }) => status === 401);
    expect(await meters(key)).toMatchObject(refused);
    expect((await pipeline.api('GET', `/v1/api-keys/${key.id}`)).body.state).toBe('revoked');
    expect(await pipeline.api('DELETE', `/v1/api-keys/${key.id}`)).toMatchObject({
      status: 409,
      body: { error_code: 'API_KEY_NOT_ACTIVE' },
    });
  });

  it('expires at its time, to the second, without anyone doing anything', async () => {
    const key = await newKey({ scopes: ['read:meters', 'write:events'], expires_in_seconds: 60 });
    expect(Date.parse(key.shown.expires_at) - Date.parse(key.shown.created_at)).toBe(60_000);
    expect((await meters(key)).status).toBe(200);
    await expectToExpire(key);
    expect(await send(key)).toMatchObject(refused);
    expect((await pipeline.api('GET', `/v1/api-keys/${key.id}`)).body.state).toBe('expired');
    expect((await pipeline.api('POST', `/v1/api-keys/${key.id}/rotate`, {})).status).toBe(409);
  });

  it('shows when it was last used, by API or gateway', async () => {
    const key = await newKey({ scopes: ['read:meters'] });
    const gatewayKey = await newKey({ scopes: ['write:events'] });
    expect(key.shown.last_used_at).toBeNull();
    const beginMs = Date.now();
    await meters(key);
    await send(gatewayKey);
    for (const { id } of [key, gatewayKey]) {
      const { body } = await until(
        () => pipeline.api('GET', `/v1/api-keys/${id}`),
        (answer) => answer.body.last_used_at !== null,
      );
      expect(Date.parse(body.last_used_at)).toBeGreaterThanOrEqual(beginMs);
      expect(body.version).toBe(1);
    }
  });

  it('with a mistyped character is refused without asking the database', async () => {
    const good = newApiKey(randomBytes);
    const wrong = [...good].map((character, at) =>
      at < 30 ? undefined : good.slice(0, at) + (character === 'a' ? 'b' : 'a') + good.slice(at + 1),
    );
    // The one table that a look-up of a key reads.
    const scans = async () => {
      await pipeline.asOwner.query('SELECT pg_stat_clear_snapshot()');
      const { rows } = await pipeline.asOwner.query<{ count: bigint }>(
        `SELECT (seq_scan + coalesce(idx_scan, 0))::bigint AS count FROM pg_stat_user_tables
         WHERE relname = 'api_keys'`,
      );
      return Number(rows[0]?.count);
    };
    const settled = () =>
      until(
        async () => [await scans(), await new Promise<number>((resolve) => setTimeout(() => resolve(scans()), 1_200))],
        ([a, b]) => a === b,
      );
    const [before = 0] = await settled();
    const keys = wrong.flatMap((one) => one ?? []);
    for (const key of keys)
      expect(await pipeline.api('GET', '/v1/meters', undefined, { authorization: `Bearer ${key}` })).toMatchObject(
        refused,
      );
    const [between = Number.NaN] = await settled();
    // An idle session tells late what it scanned before; these would be one scan each at least.
    expect(between - before).toBeLessThan(keys.length);
    // That the counter counts: a key that could be one is looked up.
    expect(await pipeline.api('GET', '/v1/meters', undefined, { authorization: `Bearer ${good}` })).toMatchObject(
      refused,
    );
    await until(scans, (count) => count > before);
  });
});

describe('the rotation of a key', () => {
  const rotate = (id: string, body: unknown = {}, hosts: Pick<Hosts, 'api'> = pipeline) =>
    hosts.api('POST', `/v1/api-keys/${id}/rotate`, body);

  it('gives a new key with the same rights; both work until the overlap ends, and then the new one alone', async () => {
    const old = await newKey({ scopes: ['read:meters', 'write:events'], metadata: { for: 'tests' } });
    // Longer than a busy machine takes to ask both; below it is cut short.
    const rotated = await rotate(old.id, { overlap_seconds: 60 });
    expect(rotated).toMatchObject({
      status: 201,
      body: { name: 'A key', scopes: old.shown.scopes, metadata: { for: 'tests' }, rotated_to: null },
    });
    const next = { api: pipeline.api, key: rotated.body.key };
    const withNext = () => pipeline.api('GET', '/v1/meters', undefined, { authorization: `Bearer ${next.key}` });
    expect([(await meters(old)).status, (await withNext()).status]).toEqual([200, 200]);
    const { body } = await pipeline.api('GET', `/v1/api-keys/${old.id}`);
    expect(body).toMatchObject({ state: 'active', rotated_to: rotated.body.id, version: 2 });
    expect(Date.parse(body.expires_at) - Date.parse(body.updated_at)).toBe(60_000);
    await expectToExpire(old);
    expect(await send(old)).toMatchObject(refused);
    expect((await withNext()).status).toBe(200);
  });

  it('lasts 24 hours where nothing is said, and never longer than the key itself', async () => {
    const old = await newKey();
    await rotate(old.id);
    const { body } = await pipeline.api('GET', `/v1/api-keys/${old.id}`);
    expect(Date.parse(body.expires_at) - Date.parse(body.updated_at)).toBe(86_400_000);
    const short = await newKey({ scopes: ['read:meters'], expires_in_seconds: 60 });
    const next = await rotate(short.id);
    expect((await pipeline.api('GET', `/v1/api-keys/${short.id}`)).body.expires_at).toBe(short.shown.expires_at);
    expect(next.body.expires_at).toBe(short.shown.expires_at);
  });

  it('is done once: a second one, also at the same moment, is 409', async () => {
    const old = await newKey();
    const both = await Promise.all([rotate(old.id), rotate(old.id), rotate(old.id)]);
    expect(both.map(({ status }) => status).toSorted()).toEqual([201, 409, 409]);
    expect(await rotate(old.id)).toMatchObject({ status: 409, body: { error_code: 'API_KEY_NOT_ACTIVE' } });
  });

  it('keeps the demand for signed requests, with a new secret', async () => {
    const old = await newKey({ scopes: ['read:meters'], signed_requests: true });
    const next = await rotate(old.id);
    expect(next.body).toMatchObject({ signed_requests: true, signing_secret: expect.stringMatching(/^mrsig_/) });
    expect(next.body.signing_secret).not.toBe(old.shown.signing_secret);
  });

  it('gives nobody a key that they could not have made', async () => {
    const old = await newKey({ scopes: ['read:meters', 'write:customers'] });
    const keeper = await newKey({ scopes: ['admin:keys', 'read:meters'] });
    expect(await rotate(old.id, {}, keeper)).toMatchObject({
      status: 403,
      body: { error_code: 'SCOPE_NOT_GRANTABLE', detail: expect.stringContaining('write:customers') },
    });
    expect((await pipeline.api('GET', `/v1/api-keys/${old.id}`)).body).toMatchObject({ rotated_to: null, version: 1 });
  });
});

describe('scopes', () => {
  const create = (hosts: Hosts, scopes: readonly string[]) =>
    hosts.api('POST', '/v1/api-keys', { name: 'A key', scopes });

  it.each([
    [
      ['admin:keys', 'read:*'],
      ['read:meters', 'read:*', 'admin:keys'],
      ['admin', 'write:meters', 'write:*'],
    ],
    [['admin:keys', 'read:meters'], ['read:meters'], ['read:*', 'read:plans', 'admin']],
    [['admin'], ['admin', 'admin:keys', 'read:*', 'write:*', 'write:events'], []],
  ])('a key with %j makes keys with %j, and none with %j', async (held, granted, withheld) => {
    const keeper = await newKey({ scopes: held });
    for (const scope of granted) expect((await create(keeper, [scope])).status, scope).toBe(201);
    for (const scope of withheld) {
      const answer = await create(keeper, ['admin:keys', scope]);
      expect(answer, scope).toMatchObject({
        status: 403,
        body: { error_code: 'SCOPE_NOT_GRANTABLE', detail: expect.stringContaining(scope) },
      });
    }
  });

  it.each([
    ['read:*', ['/v1/meters', '/v1/plans', '/v1/customers', '/v1/invoices', '/v1/audit-log'], ['/v1/api-keys']],
    ['write:*', [], ['/v1/meters', '/v1/customers', '/v1/api-keys']],
    ['admin', ['/v1/meters', '/v1/customers', '/v1/audit-log', '/v1/api-keys'], []],
    ['admin:keys', ['/v1/api-keys'], ['/v1/meters', '/v1/audit-log']],
  ])('%s lets read %j, and refuses %j', async (scope, allowed, forbidden) => {
    const key = await newKey({ scopes: [scope] });
    for (const path of allowed) expect((await key.api('GET', path)).status, path).toBe(200);
    for (const path of forbidden) expect((await key.api('GET', path)).status, path).toBe(403);
  });

  it('write:* and admin let events in, read:* does not', async () => {
    for (const [scope, status] of [
      ['write:*', 200],
      ['admin', 200],
      ['read:*', 403],
    ] as const)
      expect((await send(await newKey({ scopes: [scope] }))).status, scope).toBe(status);
  });

  it('that nobody knows can not be granted', async () => {
    for (const scopes of [['read:everything'], [], ['read:meters', 'read:meters'], ['admin', '']])
      expect(await create(pipeline as unknown as Hosts, scopes)).toMatchObject({
        status: 422,
        body: { error_code: 'VALIDATION_FAILED' },
      });
  });
});

describe('a dump of the databases, and the logs', () => {
  it('[I26] hold no usable key and no signing secret, in no form', async () => {
    const scopes = ['admin:keys', 'read:meters', 'write:customers'];
    const key = await newKey({ scopes, signed_requests: true });
    const unsigned = await newKey({ scopes });
    const once = { 'idempotency-key': unique() };
    const kept = await unsigned.api('POST', '/v1/api-keys', { name: 'Kept', scopes, signed_requests: true }, once);
    const rotated = await unsigned.api(
      'POST',
      `/v1/api-keys/${kept.body.id}/rotate`,
      {},
      { 'idempotency-key': unique() },
    );
    expect([kept.status, rotated.status, (await meters(unsigned)).status, (await meters(key)).status]).toEqual([
      201, 201, 200, 401,
    ]);
    // The repeated answer shows the key again, to the one who made it: it is kept, sealed.
    expect(
      (await unsigned.api('POST', '/v1/api-keys', { name: 'Kept', scopes, signed_requests: true }, once)).body,
    ).toEqual(kept.body);
    await unsigned.api('GET', `/v1/meters?key=${unsigned.key}`);
    const secrets = [key.shown, unsigned.shown, kept.body, rotated.body].flatMap(
      ({ key: text, signing_secret: secret, hint }) => [
        ...[text, text.slice(hint.length + 1), text.slice(hint.length + 1, -6)],
        ...(secret ? [secret, secret.slice('mrsig_'.length)] : []),
      ],
    );
    expect(secrets.length).toBe(4 * 3 + 3 * 2);
    const dump = await dumpOf(pipeline.asOwner);
    // That it looks at what is there: a public part is in it, and a secret that is put into it is found.
    expect(dump).toContain(key.shown.hint);
    expect(clearTextsIn(`${dump}${Buffer.from(`x${secrets[1]}`).toString('base64')}`, secrets)).toEqual([
      secrets[1],
      secrets[2],
    ]);
    expect(clearTextsIn(dump, secrets)).toEqual([]);
    const folder = join(pipeline.stack.home, 'log');
    const logs = readdirSync(folder).map((name) => readFileSync(join(folder, name), 'utf8'));
    expect(logs.join('\n')).toContain('/v1/api-keys/:id/rotate');
    expect(clearTextsIn(logs.join('\n'), secrets)).toEqual([]);
  });
});
