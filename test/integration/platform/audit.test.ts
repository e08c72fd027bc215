/** [I28] Every change of an object has an entry in the audit log, in the transaction of the change. */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { definedRoutes, examples, worldOf } from '../../support/api-routes.ts';
import { lastMonth, type Pipeline, startPipeline, until } from '../../support/pipeline.ts';
import {
  type Call,
  firstTenant,
  hostsOf,
  makeKey,
  makeObjects,
  type Objects,
  type Tenant,
  unique,
} from '../../support/tenants.ts';
import { verify } from '../../support/verify-command.ts';

type Entry = Readonly<Record<string, string | number | null>>;

let pipeline: Pipeline;
let tenant: Tenant;
let sandbox: Call;
let objects: Objects;
beforeAll(async () => {
  pipeline = await startPipeline(inject('serverUrls'));
  tenant = await firstTenant(pipeline);
  sandbox = (await makeKey(pipeline, pipeline.api, { scopes: ['admin'], world: 'test' })).api;
  objects = await makeObjects(pipeline.api, 'customer-1', hostsOf(pipeline, pipeline.key).ingest);
});
afterAll(() => pipeline?.stop());

const entries = async (query: string, api: Call = pipeline.api): Promise<Entry[]> =>
  (await api('GET', `/v1/audit-log?limit=1000&${query}`)).body.items;
const total = async (query = '', api: Call = pipeline.api): Promise<number> =>
  (await api('GET', `/v1/audit-log?limit=1&${query}`)).body.pagination.total;
const changes = definedRoutes().flatMap((route) =>
  route.method === 'GET' || route.idempotencyHeader === false ? [] : [[`${route.method} ${route.url}`, route] as const],
);
const digest = expect.stringMatching(/^[0-9a-f]{64}$/);

/**
 * An action is named for what it is done to, with three exceptions: a part of an object, a kind of it, and what is
 * added to one and is an object of its own.
 */
const typeOf = (action: string, isVersion: boolean): string => {
  const [type = ''] = action.split('.');
  if (isVersion) return 'plan';
  if (action.startsWith('subscription.charge_')) return 'one_time_charge';
  return type === 'rating_run' ? 'billing_run' : type;
};

describe('[I28] the audit log', () => {
  it.each(changes)(
    '%s writes one entry per object that it changes, and who, when, why and what of',
    async (_, route) => {
      const { method, operation } = route;
      const actor = await makeKey(pipeline, pipeline.api, { scopes: ['admin'], world: worldOf(route) });
      const api = worldOf(route) === 'test' ? sandbox : pipeline.api;
      const { path, body } = (await examples[operation]?.(api, objects)) ?? { path: '' };
      const [requestId, beginMs] = [`request-${unique()}`, Date.now()];
      const answer = await actor.api(method, path, body, { 'x-request-id': requestId });
      // A rotation makes one key and ends another; an acceptance makes a subscription, a finalization a run; a credit
      // note changes the state of its invoice, and voiding makes a credit note.
      const twofold = ['rotateApiKey', 'acceptQuote', 'finalizeInvoice', 'createCreditNote', 'voidInvoice'];
      const expected = twofold.includes(operation) ? 2 : 1;
      // A version is a part of its plan, whose entry it is.
      const isVersion = String(answer.body.id).startsWith('plv_');
      const named: string = isVersion ? answer.body.plan_id : (answer.body.items?.[0].id ?? answer.body.id);
      const objectId = answer.status === 204 ? (path.split('/').at(-1) ?? '') : named;
      // What processes bring to its end meanwhile has entries of theirs, and the request's id as well.
      const written = await entries(`request_id=${requestId}&object_id=${objectId}&actor=${actor.id}`, api);
      expect(written).toHaveLength(1);
      expect(await total(`request_id=${requestId}&actor=${actor.id}`, api)).toBe(expected);
      expect(await total(`actor=${actor.id}`, api)).toBe(expected);
      const [entry] = written;
      const isNew =
        method === 'POST' &&
        !/(activate|archive|cancel|erase|change-plan|seats|add-ons|pause|resume|undo-change|advance|send|accept|finalize|void)$/.test(
          path,
        );
      expect(entry).toMatchObject({
        actor: actor.id,
        result: String(answer.status),
        object_id: objectId,
        object_type: typeOf(String(entry?.action), isVersion),
        before_digest: isNew ? null : digest,
        after_digest: answer.status === 204 ? null : digest,
      });
      expect(String(entry?.id)).toMatch(/^aud_/);
      const occurredMs = Date.parse(String(entry?.occurred_at));
      expect([occurredMs >= beginMs, occurredMs <= Date.now()]).toEqual([true, true]);
    },
  );

  it("links an object's entries: before this change it was what it was after the last one", async () => {
    const { id } = (await pipeline.api('POST', '/v1/customers', { external_id: unique(), name: 'A' })).body;
    for (const name of ['B', 'C', 'C']) await pipeline.api('PATCH', `/v1/customers/${id}`, { name });
    const written = (await entries(`object_id=${id}`)).toReversed();
    expect(written.map(({ action }) => action)).toEqual(['customer.created', ...Array(3).fill('customer.updated')]);
    for (const [index, entry] of written.entries())
      expect(entry.before_digest).toBe(written[index - 1]?.after_digest ?? null);
    expect(new Set(written.map(({ after_digest: after }) => after)).size).toBe(4);
  });

  it('holds no name, address or key: nobody reads from it what an object was', async () => {
    await pipeline.api('POST', '/v1/customers', {
      external_id: `ext-${unique()}`,
      name: 'Somebody Secret',
      email: 'secret@example.com',
    });
    const { rows } = await pipeline.asOwner.query<{ row: string }>('SELECT a::text AS row FROM audit_log a');
    expect(rows.map(({ row }) => row).join('\n')).not.toMatch(/Somebody|secret@|ext-/);
  });

  it('has nothing of a change that was refused, and nothing of one that could not be committed', async () => {
    const ofTheseKinds = async () => [await total('object_type=customer'), await total('object_type=subscription')];
    const before = await ofTheseKinds();
    const external = `refused-${unique()}`;
    const once = { 'idempotency-key': unique() };
    expect((await pipeline.api('POST', '/v1/customers', { external_id: objects.externalId, name: 'T' })).status).toBe(
      409,
    );
    expect(
      (await pipeline.api('POST', '/v1/customers', { external_id: objects.externalId, name: 'T' }, once)).status,
    ).toBe(409);
    expect(
      (await pipeline.api('PATCH', `/v1/customers/${objects.customer}`, { name: 'T' }, { 'if-match': '"99"' })).status,
    ).toBe(412);
    expect(
      (
        await pipeline.api(
          'POST',
          '/v1/subscriptions',
          { customer_id: 'nobody', plan: 'llm-pro' },
          { 'idempotency-key': unique() },
        )
      ).status,
    ).toBe(404);
    await pipeline.asOwner.query(
      "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not today'; END $$",
    );
    await pipeline.asOwner.query(
      `CREATE CONSTRAINT TRIGGER fail AFTER INSERT ON audit_log DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
       EXECUTE FUNCTION fail()`,
    );
    for (const headers of [{}, { 'idempotency-key': unique() }] as Record<string, string>[])
      expect((await pipeline.api('POST', '/v1/customers', { external_id: external, name: 'T' }, headers)).status).toBe(
        500,
      );
    await pipeline.asOwner.query('DROP TRIGGER fail ON audit_log');
    expect(await ofTheseKinds()).toEqual(before);
    expect((await pipeline.api('GET', `/v1/customers/${external}`)).status).toBe(404);
  });

  it('stays unbroken in every lane under changes at once, of API and billing runs, in both worlds', async () => {
    const test = await makeKey(pipeline, pipeline.api, { scopes: ['admin'], world: 'test' });
    await makeObjects(test.api, 'customer-1');
    // That a lane was opened has an entry too, and how many are opened depends on what comes at once.
    const countChanges = async () => (await total()) - (await total('object_type=audit_lane'));
    const before = await countChanges();
    const many = Array.from({ length: 60 }, (_, index) =>
      (index % 3 === 0 ? test.api : pipeline.api)('POST', '/v1/customers', { external_id: `many-${index}`, name: 'M' }),
    );
    const changed = Array.from({ length: 20 }, (_, index) =>
      pipeline.api('PATCH', `/v1/meters/${objects.meter}`, { name: `M ${index}` }),
    );
    const runs = Array.from({ length: 3 }, () => pipeline.closePeriod({ period: lastMonth().name }));
    const statuses = (await Promise.all([...many, ...changed, ...runs])).map(({ status }) => status);
    expect(new Set(statuses)).toEqual(new Set([200, 201]));
    // A run is asked for, and it ends.
    expect(await countChanges()).toBe(before + 40 + 20 + 2 * 3);
    for (const lane of Map.groupBy(await entries(''), (entry) => entry.lane).values()) {
      const sequences = lane.map(({ sequence }) => Number(sequence)).sort((a, b) => a - b);
      expect(sequences).toEqual(Array.from(sequences, (_, index) => index + 1));
    }
    const { code, stdout } = await verify(pipeline.databaseUrl);
    expect(stdout).toContain('no fault');
    expect(code).toBe(0);
  });

  it('names the request of a billing run at each invoice that it issued, with the hash of the invoice', async () => {
    const externalId = `billed-${unique()}`;
    await pipeline.api('POST', '/v1/customers', { external_id: externalId, name: 'B' });
    const started = new Date(lastMonth().start).toISOString();
    await pipeline.api('POST', '/v1/subscriptions', { customer_id: externalId, plan: 'llm-pro', started_at: started });
    const requestId = `request-${unique()}`;
    await pipeline.api(
      'POST',
      '/v1/invoices/run',
      { period: lastMonth().name, customer_id: externalId },
      { 'x-request-id': requestId },
    );
    const [invoice] = await until(
      async () => (await pipeline.api('GET', `/v1/invoices?customer_id=${externalId}`)).body.items,
      (items) => items.length === 1,
    );
    const written = (await entries(`request_id=${requestId}`)).toReversed();
    expect(written).toMatchObject([
      { action: 'billing_run.created', actor: expect.stringMatching(/^key_/), result: '202' },
      {
        action: 'invoice.issued',
        actor: 'invoicer',
        result: 'done',
        object_id: invoice.id,
        before_digest: null,
        after_digest: invoice.hash,
      },
      { action: 'billing_run.completed', actor: 'invoicer', result: 'done', object_id: written[0]?.object_id },
    ]);
  });

  it('is paged and filtered like every list', async () => {
    const all = await entries('');
    const paged: Entry[] = [];
    for (let cursor = ''; ; ) {
      const { body } = await pipeline.api('GET', `/v1/audit-log?limit=7${cursor && `&cursor=${cursor}`}`);
      paged.push(...body.items);
      if (!body.pagination.has_more) break;
      cursor = body.pagination.next_cursor;
    }
    expect(paged).toEqual(all);
    for (const [query, holds] of [
      ['action=customer.created', ({ action }: Entry) => action === 'customer.created'],
      ['object_type=api_key', ({ object_type: type }: Entry) => type === 'api_key'],
      [`object_id=${objects.plan}`, ({ object_id: id }: Entry) => id === objects.plan],
      ['actor=bootstrap', ({ actor }: Entry) => actor === 'bootstrap'],
    ] as const) {
      const found = await entries(query);
      expect(found.length, query).toBeGreaterThan(0);
      expect(found, query).toEqual(all.filter(holds));
    }
    const [middle] = all.slice(Math.floor(all.length / 2));
    const after = await entries(`created_at_after=${middle?.occurred_at}`);
    expect(after).toEqual(all.filter(({ occurred_at: at }) => String(at) > String(middle?.occurred_at)));
    expect(await entries('sort=created_at')).toEqual(all.toReversed());
    expect(tenant.organizationId).not.toBe('');
  });
});
