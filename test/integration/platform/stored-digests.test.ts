/**
 * Every column of what is stored is covered by the digests of the audit log, whoever changes it: past the application,
 * or a process of ours.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { recordChange } from '#platform/audit/record-change.ts';
import { systemClock } from '#platform/process/clock.ts';
import { newId } from '#platform/process/ids.ts';
import { rotateKeys } from '#platform/secrets/rotate-keys.ts';
import { masterKeysFrom } from '#platform/secrets/vault.ts';
import { giveBackShard } from '#platform/work/shard-jobs.postgres.ts';
import { type AuditedObject, type AuditedType, auditedObjects } from '#schemas/audited-objects.ts';
import { sealedColumns } from '#schemas/sealed-columns.ts';
import { unaudited, undigested } from '#schemas/undigested.ts';
import { lastMonth, type Pipeline, startPipeline, until } from '../../support/pipeline.ts';
import {
  changedTo,
  faultsAfter,
  missedOf,
  type NamedTampering,
  type Naming,
  namings,
  readTables,
  type Tampering,
  verifyAll,
} from '../../support/tampering.ts';
import { firstTenant, makeKey, makeObjects, type Objects, type Tenant } from '../../support/tenants.ts';
import { type Verdict, verify } from '../../support/verify-command.ts';

let pipeline: Pipeline;
let tenant: Tenant;
let objects: Objects;
beforeAll(async () => {
  pipeline = await startPipeline(inject('serverUrls'));
  tenant = await firstTenant(pipeline);
  objects = await makeObjects(pipeline.api, 'customer-1', tenant.ingest);
  const sandbox = await makeKey(pipeline, pipeline.api, { scopes: ['admin'], world: 'test' });
  expect((await sandbox.api('POST', '/v1/test-clocks', {})).status).toBe(201);
  for (const index of [2, 3, 4])
    await pipeline.api('POST', '/v1/customers', { external_id: `customer-${index}`, name: 'C' });
  await pipeline.closePeriod({ period: lastMonth().name });
});
afterAll(() => pipeline?.stop());

/** As the owner, past every trigger and foreign key. */
const tamper = (...statements: readonly (readonly [string, (readonly unknown[])?])[]): Promise<void> =>
  pipeline.asOwner.transaction(async (client) => {
    await client.query("SET LOCAL session_replication_role = 'replica'");
    for (const [sql, values] of statements) await client.query(sql, values);
  });
const run = (): Promise<Verdict> => verify(pipeline.databaseUrl);

describe('[I28] what is stored', () => {
  /** A row of a table, the object that it belongs to, and how the fault of that object begins. */
  const rowOf = async (table: string): Promise<{ place: string; id: string; named: string }> => {
    const { kind, id } = namings.get(table) as Naming;
    const { rows } = await pipeline.asOwner.query<{ place: string; id: string }>(
      `SELECT r.ctid::text AS place, ${id} AS id FROM ${table} r ORDER BY r.ctid LIMIT 1`,
    );
    const [row] = rows;
    if (!row) throw new Error(`${table} is empty: nothing is shown of it`);
    return { ...row, named: `${kind} (${row.id}` };
  };

  it('is covered column by column: whichever is changed past the application, the object is named', async () => {
    expect(await verifyAll(pipeline.asOwner)).toEqual([]);
    const tables = await readTables(pipeline.asOwner);
    expect([...namings.keys(), ...Object.keys(unaudited)].sort()).toEqual([...tables.keys()].sort());
    const changes: NamedTampering[] = [];
    for (const [table, columns] of tables) {
      if (table in unaudited) continue;
      const { place, named } = await rowOf(table);
      for (const column of columns) {
        const sql = `UPDATE ${table} SET ${column.name} = ${changedTo(column)} WHERE ctid = $1::tid`;
        changes.push({ table, sql, values: [place], named, name: `${table}.${column.name}` });
      }
    }
    const missed = await missedOf(pipeline.asOwner, changes);
    expect(missed.sort()).toEqual(Object.keys(undigested).sort());
    expect(await verifyAll(pipeline.asOwner)).toEqual([]);
  }, 900_000);

  it('has no row less: whichever is deleted, its object is named', async () => {
    const deletions: NamedTampering[] = [];
    for (const table of namings.keys()) {
      const { place, named } = await rowOf(table);
      deletions.push({ table, sql: `DELETE FROM ${table} WHERE ctid = $1::tid`, values: [place], named, name: table });
    }
    expect(await missedOf(pipeline.asOwner, deletions)).toEqual([]);
  });

  it('has no row more: whichever is put in, with an object or alone, is named', async () => {
    const tables = await readTables(pipeline.asOwner);
    const added = (table: string, place: string, change: object): Tampering => {
      const columns = (tables.get(table) ?? []).map(({ name }) => name);
      const changed = columns.map((name) => `c.${name}`);
      return {
        table,
        sql: `INSERT INTO ${table} (${columns.join(', ')}) SELECT ${changed.join(', ')} FROM ${table} r,
          jsonb_populate_record(r, $2) c WHERE r.ctid = $1::tid`,
        values: [place, change],
      };
    };
    const additions: NamedTampering[] = [];
    for (const [table, { kind }] of namings) {
      const { place, id } = await rowOf(table);
      const audited: AuditedObject | undefined = auditedObjects[kind as AuditedType];
      const own = ['id', audited?.idColumn].find((column) => tables.get(table)?.some(({ name }) => name === column));
      additions.push({
        ...added(table, place, own ? { [own]: `${id}y` } : {}),
        named: `${kind} (${id}`,
        name: table,
      });
    }
    expect(await missedOf(pipeline.asOwner, additions)).toEqual([]);
    for (const [table, change, named] of [
      ['rated_lines', { watermark: 987_654 }, 'rated_lines (sub_'],
      ['rated_lines', { period_start: '2001-01-01T00:00:00Z' }, 'rated_lines (run_'],
      ['billing_periods', { id: 'bpd_x', invoice_id: 'inv_x' }, 'billing_periods (inv_x'],
      ['plan_versions', { id: 'plv_x', plan_id: 'pln_x' }, 'plan_versions (pln_x'],
      ['plan_version_meters', { plan_version_id: 'plv_x' }, 'plan_version_meters (plv_x'],
      ['meter_versions', { id: 'mtv_x', meter_id: 'mtr_x' }, 'meter_versions (mtr_x'],
      ['amended_events', { amendment_id: 'amd_x' }, 'amended_events (amd_x'],
      ['billing_run_shards', { run_id: 'run_x' }, 'billing_run_shards (run_x'],
      ['invoice_lines', { invoice_id: 'inv_x' }, 'invoice_lines (inv_x'],
      ['organizations', { id: 'org_x', sandbox_of: null }, 'organization (org_x'],
    ] as const) {
      const { place } = await rowOf(table);
      const alone = { ...added(table, place, change), named, name: `${table} ${JSON.stringify(change)}` };
      expect(await missedOf(pipeline.asOwner, [alone])).toEqual([]);
    }
  });

  it('is named by the command, kind, id and reason, as many as there are', async () => {
    const { rows } = await pipeline.asOwner.query<{ scopes: string[] }>('SELECT scopes FROM api_keys WHERE id = $1', [
      objects.apiKey,
    ]);
    await tamper(
      ["UPDATE api_keys SET scopes = '{admin}' WHERE id = $1", [objects.apiKey]],
      ["UPDATE organizations SET tier = 'starter'"],
    );
    const { code, faults } = await run();
    const restored = 'UPDATE api_keys SET scopes = $2 WHERE id = $1';
    await tamper(["UPDATE organizations SET tier = 'scale'"], [restored, [objects.apiKey, rows[0]?.scopes]]);
    const line = (kind: string, id: string) =>
      `${tenant.organizationId} changes: FAULT ${kind} (${id}): differs_from_last_entry`;
    expect(code).toBe(1);
    expect(faults).toContain(line('api_key', objects.apiKey));
    expect(faults).toContain(line('organization', tenant.organizationId));
    expect(faults).toContain(line('organization', tenant.sandboxId).replace(tenant.organizationId, tenant.sandboxId));
    expect(faults).toHaveLength(3);
  });
});

describe('[I28] a digest of rated lines from before they were digested as rows', () => {
  // As it was written then.
  const form3 = `(SELECT '3:' || encode(sha256(convert_to(jsonb_agg(jsonb_build_array(l.organization_id::text,
      l.subscription_id::text, extract(epoch FROM l.period_start)::text, extract(epoch FROM l.period_end)::text,
      l.charge_code::text, l.watermark::text, l.plan_version_id::text, l.position::text, l.line::text,
      l.unmeasured_events::text, extract(epoch FROM l.rated_at)::text, l.billing_period_id::text, l.id::text,
      l.parts::text, l.hash_version::text, l.input_hash::text, l.output_hash::text)
      ORDER BY l.billing_period_id::text COLLATE "C", l.charge_code::text COLLATE "C")::text, 'UTF8')), 'hex')
    FROM rated_lines l JOIN billing_runs r ON r.id = s.run_id WHERE l.organization_id = r.organization_id
      AND l.watermark = r.watermark AND l.billing_period_id = ANY (s.billing_period_ids))`;
  const ofLines = async (digest: string): Promise<string[]> => {
    const faults = await faultsAfter(pipeline.asOwner, {
      table: 'billing_run_shards',
      sql: `UPDATE billing_run_shards s SET lines_digest = ${digest} WHERE s.ctid = (SELECT ctid FROM billing_run_shards
         WHERE lines_digest LIKE '4:%' ORDER BY ctid LIMIT 1)`,
    });
    return faults.filter((fault) => fault.startsWith('rated_lines ('));
  };

  it('goes on verifying, and still tells of a change', async () => {
    expect(await ofLines(form3)).toEqual([]);
    expect(await ofLines(`${form3} || '0'`)).toHaveLength(1);
    expect(await ofLines(`'3:' || repeat('0', 64)`)).toHaveLength(1);
  });
});

describe('[I28] what processes and commands change by themselves', () => {
  it('has an entry of its own where a run fails, by a bug or by deaths of its processes', async () => {
    const now = new Date();
    const runs = ['bug', 'deaths'].map((name) => ({ id: newId('run'), name }));
    await pipeline.asOwner.transaction(async (client) => {
      for (const { id, name } of runs) {
        await client.query(
          `INSERT INTO billing_runs (id, organization_id, period_start, period_end, state, watermark, created_at,
             updated_at)
           VALUES ($1, $2, $3::timestamptz - interval '1 day', $3, 'running', 1, $3, $3)`,
          [id, tenant.organizationId, now],
        );
        // Nobody takes the first one before its time; of the second one the last process that took it is long dead.
        await client.query(
          `INSERT INTO billing_run_shards (run_id, shard_number, billing_period_ids, state, leased_until, attempts)
           VALUES ($1, 0, '{}', 'queued', $2, 20)`,
          [id, name === 'bug' ? new Date(Date.now() + 600_000) : new Date(Date.now() - 600_000)],
        );
      }
      const made = runs.map(({ id }) => ({ action: 'billing_run.created', objectType: 'billing_run', objectId: id }));
      await recordChange(
        { query: client.query, organizationId: tenant.organizationId },
        { actor: 'test', requestId: undefined, result: 'done' },
        made,
        now.getTime(),
      );
    });
    const shard = {
      runId: runs[0]?.id ?? '',
      shardNumber: 0,
      organizationId: tenant.organizationId,
      watermark: 1n,
      kind: 'billing' as const,
      billingPeriodIds: [],
      draftIds: [],
      makesDrafts: false,
      requestId: undefined,
      clockNow: undefined,
      attempt: 20,
    };
    await pipeline.asWorker.transaction((client) => giveBackShard(client, 'rater', shard, new Error('a bug')));
    for (const { id } of runs) {
      const { body } = await until(
        () => pipeline.api('GET', `/v1/audit-log?object_id=${id}`),
        (answer) => answer.body.items.length === 2,
      );
      expect(body.items[0]).toMatchObject({ action: 'billing_run.failed', actor: 'rater' });
    }
    expect((await run()).faults).toEqual([]);
  });

  it('verifies after a tier was set by the command', async () => {
    const setTier = (tier: string) =>
      verify(pipeline.databaseUrl, [tenant.organizationId, tier], 'api/access/set-tier.main.ts');
    expect(await setTier('starter')).toMatchObject({
      code: 0,
      stdout: `${tenant.organizationId} and its sandbox are on starter\n`,
    });
    const { rows } = await pipeline.asOwner.query('SELECT DISTINCT tier FROM organizations');
    expect(rows).toEqual([{ tier: 'starter' }]);
    expect(await run()).toMatchObject({ code: 0, faults: [] });
    expect(await setTier('golden')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('usage: npm run set-tier'),
    });
    expect(await setTier('scale')).toMatchObject({ code: 0 });
  });

  it('verifies after a rotation of keys, which does not cover up what was done before it', async () => {
    const masterKey = readFileSync(join(pipeline.stack.home, 'master-key'), 'utf8').trim();
    const masterKeys = masterKeysFrom({ masterKey, previousMasterKey: '' });
    const signing = { name: 'A key', scopes: ['read:meters'], signed_requests: true };
    const keys: string[] = [];
    for (let number = 0; number < 4; number += 1)
      keys.push((await pipeline.api('POST', '/v1/api-keys', signing)).body.id);
    await tamper(["UPDATE api_keys SET name = 'another' WHERE id = $1", [keys[0]]]);
    const columns = Object.values(sealedColumns);
    const report = await rotateKeys(pipeline.asOwner, { masterKeys, columns, renewDataKeys: true, clock: systemClock });
    expect(report.columns.find(({ name }) => name === 'api_keys.signing_secret')?.resealed).toBe(4);
    const { body } = await pipeline.api('GET', '/v1/audit-log?action=api_key.resealed');
    expect(body.pagination.total).toBe(3);
    expect((await run()).faults).toEqual([
      `${tenant.organizationId} changes: FAULT api_key (${keys[0]}): differs_from_last_entry`,
    ]);
  });
});
