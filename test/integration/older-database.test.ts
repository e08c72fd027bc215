/** [I17] A release reads what an older one wrote: stores are migrated with their data, and every answer stands. */
import { readdirSync } from 'node:fs';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { connectPostgres, type Postgres } from '#platform/stores/postgres.ts';
import {
  loadRelease,
  type RecordedWorld,
  readRelease,
  type StoredRelease,
  type StoredTable,
} from '../fixtures/stored-release.ts';
import { blankStores, type FreshStores } from '../support/fresh-stores.ts';
import { type Pipeline, startPipeline, until } from '../support/pipeline.ts';
import { faultsAfter } from '../support/tampering.ts';
import { type Hosts, hostsOf } from '../support/tenants.ts';
import { verify } from '../support/verify-command.ts';

/** Each is of a release: all that it had stored, and what it answered. */
const fixtures = readdirSync(new URL('../fixtures/', import.meta.url)).filter((name) => name.endsWith('.json.gz'));

/** What is of the moment of the question, and not of what is stored: members, by the path that is asked. */
const ofTheMoment: readonly (readonly [path: RegExp, names: readonly string[]])[] = [
  [/^\/v1\/subscriptions/, ['.items[].current_period']],
  [/^\/v1\/api-keys/, ['.items[].state', '.items[].last_used_at']],
  [/^\/v1\/reconciliation/, ['.watermark', '.unreported_gateways']],
  [/\/usage\?/, ['.watermark']],
  [/^\/v1\/events\/[^?/]+$/, ['.watermark']],
];
const momentaryOf = (path: string): ReadonlySet<string> =>
  new Set(ofTheMoment.flatMap(([of, names]) => (of.test(path) ? names : [])));

/** Where the newer answer has not every member of the older one, with the same value. More members are no fault. */
const differences = (older: unknown, newer: unknown, skipped: ReadonlySet<string> = new Set(), path = ''): string[] => {
  if (Array.isArray(older)) {
    if (!Array.isArray(newer) || newer.length !== older.length) return [`${path}: another number of items`];
    return older.flatMap((item, index) => differences(item, newer[index], skipped, `${path}[${index}]`));
  }
  if (typeof older !== 'object' || older === null)
    return Object.is(older, newer) ? [] : [`${path}: ${JSON.stringify(older)} is now ${JSON.stringify(newer)}`];
  if (typeof newer !== 'object' || newer === null) return [`${path}: is now ${JSON.stringify(newer)}`];
  return Object.entries(older).flatMap(([name, value]) =>
    skipped.has(`${path}.${name}`.replaceAll(/\[\d+\]/g, '[]'))
      ? []
      : differences(value, (newer as Readonly<Record<string, unknown>>)[name], skipped, `${path}.${name}`),
  );
};

const countOf = (table: StoredTable | undefined): number => table?.rows.length ?? 0;

it('the comparison names a member that went, one that changed and an item that is missing, and takes more members', () => {
  const older = { a: 1, list: [{ b: 'x' }], none: null };
  expect(differences(older, { ...older, more: 1 })).toEqual([]);
  expect(differences(older, { a: 1, list: [{}], none: null })).toEqual(['.list[0].b: "x" is now undefined']);
  expect(differences(older, { a: 2, list: [], none: null })).toEqual([
    '.a: 1 is now 2',
    '.list: another number of items',
  ]);
});

it('there is a release to read', () => expect(fixtures).toContain('database-0014.json.gz'));

describe.each(fixtures)('%s', (name) => {
  let release: StoredRelease;
  let stores: FreshStores;
  let pipeline: Pipeline;
  let owner: Postgres;
  const hosts = (world: RecordedWorld): Hosts => hostsOf(pipeline, world.key);

  beforeAll(async () => {
    release = readRelease(name);
    stores = await blankStores(inject('serverUrls'));
    await loadRelease(stores, release);
    owner = connectPostgres(stores.databaseUrl, { poolMax: 2, log: pino({ level: 'silent' }) });
    // The answers to repeated requests would be a day old at most.
    await owner.query("UPDATE idempotency_keys SET expires_at = now() + interval '1 hour'");
    // The start migrates both stores.
    const settings = { ...release.settings, MILLRACE_BOOTSTRAP_KEY: release.worlds[0]?.key ?? '' };
    pipeline = await startPipeline(inject('serverUrls'), settings, { stores });
  });
  afterAll(async () => {
    await owner?.close();
    await pipeline?.stop();
  });

  const stored = async (table: string): Promise<number> =>
    Number((await owner.query<{ count: bigint }>(`SELECT count(*) AS count FROM ${table}`)).rows[0]?.count);

  it('is accepted by a verification, which counts every entry and every invoice that was written', async () => {
    const [entries, invoices] = [countOf(release.postgres.audit_log), countOf(release.postgres.invoices)];
    expect(invoices).toBeGreaterThan(50);
    expect(await stored('audit_log')).toBeGreaterThanOrEqual(entries);
    const { code, faults, stdout } = await verify(stores.databaseUrl);
    expect({ code, faults }).toEqual({ code: 0, faults: [] });
    expect(stdout).toContain(`${await stored('audit_log')} audit entries and ${invoices} invoices are as written`);
  });

  it('[I12] is rated again to the bytes of then; its lines are told to be from before lines were hashed', async () => {
    const environment = { CLICKHOUSE_URL: stores.clickhouseUrl };
    const { code, faults, stdout } = await verify(stores.databaseUrl, [], 'rater/verify/rating.main.ts', environment);
    expect({ code, faults }).toEqual({ code: 0, faults: [] });
    const billed = countOf(release.postgres.invoices);
    expect(stdout).toMatch(
      new RegExp(`^\\d+ rated lines of ${billed} billing periods of \\d organizations were rated again`, 'm'),
    );
    for (const [, lines, unhashed] of stdout.matchAll(
      / (\d+) lines of .* (\d+) of them from before lines were hashed/g,
    ))
      expect(unhashed).toBe(lines);
    expect(stdout).toContain('from before lines were hashed');
  });

  it('explains every line of an old invoice, down to its events', async () => {
    for (const { api } of release.worlds.map(hosts)) {
      const [{ id }] = (await api('GET', '/v1/invoices?limit=1')).body.items;
      const { lines } = (await api('GET', `/v1/invoices/${id}`)).body;
      expect(lines.length).toBeGreaterThan(0);
      for (const { position, amount, meter } of lines) {
        const { status, body } = await api('GET', `/v1/invoices/${id}/line-items/${position}/explain`);
        expect({ status, amount: body.output.amount, hashes: body.hashes }).toEqual({
          status: 200,
          amount,
          hashes: null,
        });
        if (meter === null) continue;
        const events = await api('GET', `${body.events.url}?limit=1000`);
        expect(`${events.body.items.length}`).toBe(body.events.count);
      }
    }
  });

  it('holds entries of both forms, billing runs that ended either way, and amendments', () => {
    const valuesOf = (table: string, column: string) => {
      const { columns = [], rows = [] } = release.postgres[table] ?? {};
      const at = columns.findIndex((known) => known.name === column);
      return new Set(rows.map((row) => row[at]));
    };
    expect(valuesOf('audit_log', 'stored_digest')).toContain(null);
    expect(valuesOf('audit_log', 'stored_digest').size).toBeGreaterThan(100);
    expect(valuesOf('billing_runs', 'state')).toEqual(new Set(['completed', 'failed']));
    expect(valuesOf('amendments', 'action')).toEqual(new Set(['void', 'replace']));
    expect(valuesOf('subscriptions', 'state')).toEqual(new Set(['active', 'ended']));
    expect(valuesOf('api_keys', 'kind')).toEqual(new Set(['secret', 'publishable']));
    expect(valuesOf('customers', 'personal').size).toBeGreaterThan(10);
    expect(valuesOf('plan_versions', 'version_number')).toEqual(new Set(['1', '2']));
    expect(valuesOf('meter_versions', 'version_number')).toEqual(new Set(['1', '2']));
  });

  /**
   * Entries of one moment had the order of the one chain that there was. They stand in lanes now, and a list breaks
   * ties by id: so the log is held against the entries of then one by one. A cursor of then stands in the order of
   * then.
   */
  const askedAs = async (then: unknown, { api }: Hosts, path: string) => {
    const answer = await api('GET', path);
    if (!path.startsWith('/v1/audit-log')) return answer;
    const { items, pagination } = then as { items: { id: string }[]; pagination: { next_cursor: string } };
    const all = await api('GET', '/v1/audit-log?limit=1000');
    const byId = new Map((all.body.items as { id: string }[]).map((item) => [item.id, item]));
    const page = { ...answer.body.pagination, next_cursor: pagination.next_cursor };
    return {
      status: answer.status,
      body: { ...answer.body, items: items.map(({ id }) => byId.get(id) ?? null), pagination: page },
    };
  };

  it('every answer of then stands: invoices, events, lists, the audit log, reconciliation', async () => {
    const changed: string[] = [];
    for (const world of release.worlds)
      for (const { path, body } of world.answers) {
        const answer = await until(
          () => askedAs(body, hosts(world), path),
          ({ body: { is_settled: settled } }) => settled !== false,
        );
        if (answer.status !== 200) changed.push(`${path} answered ${answer.status}`);
        else
          changed.push(
            ...differences(body, answer.body, momentaryOf(path)).map((difference) => `${path} ${difference}`),
          );
      }
    expect(changed).toEqual([]);
  });

  it('a request that is repeated gets the answer that was sealed then', async () => {
    for (const world of release.worlds) {
      const { path, idempotencyKey, sent, body } = world.repeatable;
      const answer = await hosts(world).api('POST', path, sent, { 'idempotency-key': idempotencyKey });
      expect(answer).toMatchObject({ status: 201, body });
    }
  });

  it('a month that was billed is billed no more, and the next one chains on', async () => {
    const before = await stored('invoices');
    for (const world of release.worlds) {
      const closePeriod = async (period: string) => {
        const { body } = await hosts(world).api('POST', '/v1/invoices/run', { period });
        return (await hosts(world).api('GET', `/v1/invoices/runs/${body.id}?wait_seconds=25`)).body;
      };
      for (const month of release.months) {
        const [row] = (
          await owner.query<{ count: bigint }>(
            `SELECT count(*) AS count FROM invoices WHERE organization_id = $1 AND period_start >= $2
               AND period_start < $3`,
            [world.organizationId, `${month}-01T00:00:00Z`, `${nextOf(month)}-01T00:00:00Z`],
          )
        ).rows;
        expect(await closePeriod(month)).toMatchObject({
          state: 'completed',
          invoices_issued: 0,
          invoices_already_issued: Number(row?.count),
        });
      }
      const run = await closePeriod(release.nextMonth);
      expect(run).toMatchObject({ state: 'completed', invoices_already_issued: 0, failure: null });
      expect(run.invoices_issued).toBeGreaterThan(0);
    }
    const { code, faults, stdout } = await verify(stores.databaseUrl);
    expect({ code, faults }).toEqual({ code: 0, faults: [] });
    expect(await stored('invoices')).toBeGreaterThan(before);
    expect(stdout).toContain(`and ${await stored('invoices')} invoices are as written`);
  });

  it('a line of an old invoice that is changed now is found', async () => {
    const [id] = (await owner.query<{ id: string }>('SELECT id FROM invoices ORDER BY id LIMIT 1')).rows.map(
      (row) => row.id,
    );
    const faults = await faultsAfter(owner, {
      table: 'invoice_lines',
      sql: 'UPDATE invoice_lines SET quantity = quantity + 1 WHERE invoice_id = $1 AND position = 1',
      values: [id],
    });
    expect(faults).toEqual([expect.stringContaining(`(${id}): hash_differs`)]);
  });
});

const nextOf = (month: string): string => Temporal.PlainYearMonth.from(month).add({ months: 1 }).toString();
