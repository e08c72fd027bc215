/** `npm run verify`: what was tampered with is found, and named, whoever did it. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest';
import { type AuditRow, auditColumns, entryFromRow } from '#platform/audit/audit.ts';
import { auditGenesisHash, auditHash } from '#platform/audit/audit-entry.ts';
import { newId } from '#platform/process/ids.ts';
import { loginUrl } from '#platform/stores/postgres.ts';
import { auditedObjects } from '#schemas/audited-objects.ts';
import { databasePassword, lastMonth, type Pipeline, startPipeline } from '../../support/pipeline.ts';
import { firstTenant, makeObjects, type Objects, type Tenant } from '../../support/tenants.ts';
import { type Verdict, verify } from '../../support/verify-command.ts';

let pipeline: Pipeline;
let tenant: Tenant;
let objects: Objects;
let folder: string;
const kept = [
  'audit_log',
  'audit_heads',
  'invoices',
  'invoice_lines',
  'billing_periods',
  'invoice_series',
  'customers',
  'meters',
  'api_keys',
  'billing_runs',
];
/** As the owner, past every trigger and foreign key. */
const tamper = (...statements: readonly (readonly [string, (readonly unknown[])?])[]): Promise<void> =>
  pipeline.asOwner.transaction(async (client) => {
    await client.query("SET LOCAL session_replication_role = 'replica'");
    for (const [sql, values] of statements) await client.query(sql, values);
  });

beforeAll(async () => {
  pipeline = await startPipeline(inject('serverUrls'));
  folder = mkdtempSync(join(tmpdir(), 'millrace-anchors-'));
  tenant = await firstTenant(pipeline);
  objects = await makeObjects(pipeline.api, 'customer-1', tenant.ingest);
  const started = new Date(lastMonth().start).toISOString();
  for (const index of [2, 3, 4]) {
    await pipeline.api('POST', '/v1/customers', { external_id: `customer-${index}`, name: 'C' });
    await pipeline.api('POST', '/v1/subscriptions', {
      customer_id: `customer-${index}`,
      plan: 'llm-pro',
      started_at: started,
    });
  }
  await pipeline.api('PATCH', `/v1/customers/${objects.customer}`, { name: 'Another' });
  await pipeline.closePeriod({ period: lastMonth().name });
  for (const table of kept) await pipeline.asOwner.query(`CREATE TABLE kept_${table} AS SELECT * FROM ${table}`);
});
afterEach(() =>
  tamper(
    ...kept.flatMap(
      (table) => [[`DELETE FROM ${table}`], [`INSERT INTO ${table} SELECT * FROM kept_${table}`]] as const,
    ),
  ),
);
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await pipeline?.stop();
});

const run = (...words: readonly string[]): Promise<Verdict> => verify(pipeline.databaseUrl, words);
/** Of lane 0, where nothing else is said: where nothing goes on at once, it has them all. */
const rowAt = async (sequence: number, lane = 0): Promise<AuditRow> =>
  (
    await pipeline.asOwner.query<AuditRow>(
      `SELECT ${auditColumns} FROM audit_log WHERE organization_id = $1 AND lane = $3 AND sequence = $2`,
      [tenant.organizationId, sequence, lane],
    )
  ).rows[0] as AuditRow;
const lastSequence = async (lane = 0): Promise<number> =>
  Number(
    (
      await pipeline.asOwner.query<{ last: bigint }>(
        'SELECT last_sequence AS last FROM audit_heads WHERE organization_id = $1 AND lane = $2',
        [tenant.organizationId, lane],
      )
    ).rows[0]?.last,
  );
/** The columns of an entry, some of them as other expressions. */
const copied = (other: Readonly<Record<string, string>>): string =>
  auditColumns
    .split(/,\s+/)
    .map((column) => other[column] ?? column)
    .join(', ');
const audit = (sequence: number, id: string | undefined, reason: string, lane = 0) =>
  `${tenant.organizationId} audit lane ${lane}: FAULT at ${sequence}${id ? ` (${id})` : ''}: ${reason}`;
const invoices = (number: number, id: string | undefined, reason: string) =>
  `${tenant.organizationId} invoices: FAULT at ${number}${id ? ` (${id})` : ''}: ${reason}`;
const invoiceAt = async (number: number): Promise<string> =>
  (await pipeline.asOwner.query<{ id: string }>('SELECT id FROM invoices WHERE series_number = $1', [number])).rows[0]
    ?.id ?? '';

/**
 * Writes the chain anew from a sequence on, as one would who covers up a change: every hash is right again, and so is
 * the head.
 */
const rewriteFrom = async (sequence: number, lane = 0): Promise<void> => {
  const last = await lastSequence(lane);
  let previousHash = sequence === 1 ? auditGenesisHash : (await rowAt(sequence - 1, lane)).hash;
  for (let at = sequence; at <= last; at += 1) {
    const hash = auditHash(previousHash, entryFromRow(await rowAt(at, lane)));
    await tamper([
      'UPDATE audit_log SET previous_hash = $3, hash = $4 WHERE organization_id = $1 AND sequence = $2 AND lane = $5',
      [tenant.organizationId, at, previousHash, hash, lane],
    ]);
    previousHash = hash;
  }
  await tamper([
    'UPDATE audit_heads SET head_hash = $2 WHERE organization_id = $1 AND lane = $3',
    [tenant.organizationId, previousHash, lane],
  ]);
};

describe('[I28] verify', () => {
  it('finds nothing where nothing was done, and says how far each chain is', async () => {
    const { code, faults, stdout, stderr } = await run();
    expect({ code, faults, stderr }).toEqual({ code: 0, faults: [], stderr: '' });
    expect(stdout).toContain(
      `${tenant.organizationId} audit lane 0: ${await lastSequence()} as written, head ${(await rowAt(await lastSequence())).hash}\n`,
    );
    expect(stdout).toMatch(new RegExp(`${tenant.organizationId} invoices: 4 as written, head [0-9a-f]{64}\n`));
    expect(stdout).toContain(`${tenant.sandboxId} audit lane 0: 0 as written\n`);
  });

  it.each([
    ['actor', "'key_0'"],
    ['action', "'customer.updated'"],
    ['object_id', "'cus_0'"],
    ['after_digest', 'NULL'],
    ['before_digest', "'00'"],
    ['request_id', "request_id || 'x'"],
    ['result', "'200'"],
    ['stored_digest', 'NULL'],
    ['stored_digest', "'1:00'"],
    ['occurred_at', "occurred_at + interval '1 microsecond'"],
    ['id', "'aud_x'"],
  ])('names the entry whose %s was changed', async (column, value) => {
    const { id } = await rowAt(5);
    await tamper([
      `UPDATE audit_log SET ${column} = ${value} WHERE organization_id = $1 AND lane = 0 AND sequence = 5`,
      [tenant.organizationId],
    ]);
    const { code, faults } = await run();
    expect(code).toBe(1);
    expect(faults[0]).toBe(audit(5, column === 'id' ? 'aud_x' : id, 'hash_differs'));
  });

  it('names the first entry behind one that was removed', async () => {
    await tamper([
      'DELETE FROM audit_log WHERE organization_id = $1 AND lane = 0 AND sequence = 5',
      [tenant.organizationId],
    ]);
    expect((await run()).faults[0]).toBe(audit(6, (await rowAt(6)).id, 'sequence_has_gap'));
  });

  it('names an entry that was put in between, and the first of two that changed places', async () => {
    const shift =
      'UPDATE audit_log SET sequence = sequence + $2 WHERE organization_id = $1 AND lane = 0 AND sequence > $3';
    await tamper(
      [shift, [tenant.organizationId, 1_001, 4]],
      [shift, [tenant.organizationId, -1_000, 1_000]],
      [
        `INSERT INTO audit_log (${auditColumns})
         SELECT ${copied({ sequence: '5', id: "'aud_put'", object_sequence: '999', previous_hash: 'hash' })}
         FROM audit_log WHERE organization_id = $1 AND lane = 0 AND sequence = 4`,
        [tenant.organizationId],
      ],
      [
        'UPDATE audit_heads SET last_sequence = last_sequence + 1 WHERE organization_id = $1 AND lane = 0',
        [tenant.organizationId],
      ],
    );
    expect((await run()).faults[0]).toBe(audit(5, 'aud_put', 'hash_differs'));
    await tamper(
      ...kept
        .slice(0, 2)
        .flatMap((table) => [[`DELETE FROM ${table}`], [`INSERT INTO ${table} SELECT * FROM kept_${table}`]] as const),
    );
    const { id } = await rowAt(6);
    const move = 'UPDATE audit_log SET sequence = $3 WHERE organization_id = $1 AND lane = 0 AND sequence = $2';
    await tamper(
      [move, [tenant.organizationId, 5, 1_000]],
      [move, [tenant.organizationId, 6, 5]],
      [move, [tenant.organizationId, 1_000, 6]],
    );
    expect((await run()).faults[0]).toBe(audit(5, id, 'previous_hash_differs'));
  });

  it('tells that the end was cut off, one entry, all of them, or the head too', async () => {
    const last = await lastSequence();
    await tamper([
      'DELETE FROM audit_log WHERE organization_id = $1 AND lane = 0 AND sequence = $2',
      [tenant.organizationId, last],
    ]);
    expect((await run()).faults[0]).toBe(audit(last, undefined, 'cut_off'));
    await tamper(['DELETE FROM audit_log WHERE organization_id = $1', [tenant.organizationId]]);
    expect((await run()).faults).toContain(audit(1, undefined, 'cut_off'));
    await tamper(['DELETE FROM audit_heads WHERE organization_id = $1', [tenant.organizationId]]);
    const { code, faults } = await run();
    expect(code).toBe(1);
    expect(
      faults.every((line) => /changes: FAULT [a-z_]+ \([a-z]{3}_[0-9a-f]{32}\): change_without_entry$/.test(line)),
    ).toBe(true);
    const kinds = new Set(faults.map((line) => line.split(' ')[3]));
    // All that a live world has.
    const live = Object.keys(auditedObjects).filter((kind) => kind !== 'test_clock');
    expect([...kinds].sort()).toEqual(live.sort());
  });

  it('names an entry that was added behind the head, and one that stands before the first', async () => {
    const last = await lastSequence();
    const behind = { sequence: last + 1, id: 'aud_behind', objectSequence: last + 1_001 };
    const entry = { ...entryFromRow(await rowAt(last)), ...behind };
    const { hash } = await rowAt(last);
    const columns = copied({
      sequence: '$2::bigint',
      id: '$3',
      object_sequence: '$2::bigint + 1000',
      previous_hash: '$4',
      hash: '$5',
    });
    const add = `INSERT INTO audit_log (${auditColumns}) SELECT ${columns} FROM audit_log
      WHERE organization_id = $1 AND lane = 0 AND sequence = $6`;
    await tamper([add, [tenant.organizationId, last + 1, 'aud_behind', hash, auditHash(hash, entry), last]]);
    expect((await run()).faults[0]).toBe(audit(last + 1, 'aud_behind', 'behind_the_head'));
    await tamper([add, [tenant.organizationId, -1, 'aud_before', hash, hash, last]]);
    expect((await run()).faults[0]).toBe(audit(-1, 'aud_before', 'sequence_has_gap'));
  });

  it('[I17] names the invoice that was changed, its lines included', async () => {
    for (const [sql, number, reason] of [
      [
        `UPDATE invoice_lines SET amount = amount + 1 WHERE invoice_id = (SELECT id FROM invoices
           WHERE series_number = 3) AND position = 1`,
        3,
        'hash_differs',
      ],
      [
        `UPDATE invoice_lines SET precise_amount = 0.123456789 WHERE invoice_id = (SELECT id FROM invoices
           WHERE series_number = 3) AND position = 1`,
        3,
        'hash_differs',
      ],
      [
        'UPDATE invoices SET subtotal = subtotal + 0.001, total = total + 0.001 WHERE series_number = 2',
        2,
        'content_unreadable',
      ],
      ["UPDATE invoices SET document_number = document_number || '0' WHERE series_number = 2", 2, 'hash_differs'],
      ["UPDATE invoices SET memo = 'x' WHERE series_number = 2", 2, 'hash_differs'],
      [
        `UPDATE invoice_lines
         SET discounts = '[{"discount_id":"dsc_1","coupon_id":"cpn_1","name":"x","amount":"0.00"}]' WHERE position = 1
           AND invoice_id = (SELECT id FROM invoices WHERE series_number = 2)`,
        2,
        'hash_differs',
      ],
      [
        `UPDATE billing_periods SET span_end = span_end - interval '1 microsecond'
         WHERE invoice_id = (SELECT id FROM invoices WHERE series_number = 2)`,
        2,
        'hash_differs',
      ],
      [
        `DELETE FROM invoice_lines WHERE position = 2 AND invoice_id = (SELECT id FROM invoices
           WHERE series_number = 2)`,
        2,
        'hash_differs',
      ],
      ['DELETE FROM invoices WHERE series_number = 1', 2, 'number_out_of_sequence'],
    ] as const) {
      const id = await invoiceAt(number);
      await tamper([sql]);
      const { code, faults } = await run();
      expect([code, faults[0]], sql).toEqual([1, invoices(number, id, reason)]);
      await tamper(
        ...['invoices', 'invoice_lines', 'billing_periods'].flatMap(
          (table) => [[`DELETE FROM ${table}`], [`INSERT INTO ${table} SELECT * FROM kept_${table}`]] as const,
        ),
      );
    }
    await tamper(['DELETE FROM invoices WHERE series_number = 4']);
    expect((await run()).faults[0]).toBe(invoices(4, undefined, 'cut_off'));
  });

  it.each([
    [
      'a customer that was put in',
      'customer',
      `INSERT INTO customers SELECT 'cus_x', organization_id, 'x', name, metadata, version, created_at, updated_at,
         personal FROM (SELECT organization_id, name, metadata, version, created_at, updated_at, personal FROM customers
           LIMIT 1) c`,
      'cus_x',
    ],
    ['a meter whose version was counted on', 'meter', 'UPDATE meters SET version = version + 1 WHERE id = $1', 'meter'],
    ['a customer whose version was set back', 'customer', 'UPDATE customers SET version = 1 WHERE id = $1', 'customer'],
    [
      'a key that was put in',
      'api_key',
      `INSERT INTO api_keys (id, organization_id, name, key_hash, scopes, created_at, updated_at)
       SELECT 'key_x', organization_id, 'X', 'x', '{admin}', now(), now() FROM api_keys LIMIT 1`,
      'key_x',
    ],
    [
      'a billing run that was put in',
      'billing_run',
      'INSERT INTO billing_runs SELECT (jsonb_populate_record(r, \'{"id": "run_x"}\')).* FROM billing_runs r LIMIT 1',
      'run_x',
    ],
  ])('names %s: it has no entry', async (_, kind, sql, id) => {
    const changed = id.includes('_') ? id : objects[id as 'meter'];
    await tamper([sql, sql.includes('$1') ? [changed] : []]);
    const { code, faults } = await run();
    expect([code, faults]).toEqual([
      1,
      [`${tenant.organizationId} changes: FAULT ${kind} (${changed}): change_without_entry`],
    ]);
  });

  it('names an invoice whose entry has another hash than the invoice, though both chains hold', async () => {
    const { rows } = await pipeline.asOwner.query<{ lane: number; sequence: bigint; object_id: string }>(
      `SELECT lane, sequence, object_id FROM audit_log WHERE action = 'invoice.issued' ORDER BY lane, sequence DESC
       LIMIT 1`,
    );
    const [entry] = rows;
    await tamper([
      'UPDATE audit_log SET after_digest = $2 WHERE lane = $3 AND sequence = $1',
      [entry?.sequence, '0'.repeat(64), entry?.lane],
    ]);
    await rewriteFrom(Number(entry?.sequence), entry?.lane);
    expect((await run()).faults).toEqual([
      `${tenant.organizationId} changes: FAULT invoice (${entry?.object_id}): change_without_entry`,
    ]);
  });

  it('leaves out what was there before there was an audit log', async () => {
    await tamper([
      `INSERT INTO meters (id, organization_id, code, name, metadata, version, created_at, updated_at)
       SELECT $1, organization_id, 'before', name, metadata, version, '2020-01-01', updated_at FROM meters LIMIT 1`,
      [newId('mtr')],
    ]);
    expect(await run()).toMatchObject({ code: 0, faults: [] });
  });
});

describe('[I28] anchors', () => {
  it('find a chain that was rewritten with its head, or cut off with it, and say from where', async () => {
    const path = join(folder, 'anchors');
    expect(await run('--write-anchors', path)).toMatchObject({ code: 0 });
    const lines = readFileSync(path, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const last = await lastSequence();
    expect(lines.filter(({ lane = 0 }) => lane === 0)).toMatchObject([
      { organization_id: tenant.organizationId, chain: 'audit', lane: 0, number: last, hash: (await rowAt(last)).hash },
      { organization_id: tenant.organizationId, chain: 'invoices', number: 4 },
      { organization_id: tenant.organizationId, chain: 'credit_notes', number: 1 },
    ]);
    expect(await run('--anchors', path, '--write-anchors', path)).toMatchObject({ code: 0 });
    expect(readFileSync(path, 'utf8').trim().split('\n')).toHaveLength(lines.length);

    await tamper([
      "UPDATE audit_log SET actor = 'nobody' WHERE organization_id = $1 AND lane = 0 AND sequence = 5",
      [tenant.organizationId],
    ]);
    await rewriteFrom(5);
    expect(await run()).toMatchObject({ code: 0 });
    expect(await run('--anchors', path)).toMatchObject({
      code: 1,
      faults: [audit(last, (await rowAt(last)).id, 'anchor_differs')],
    });

    await tamper(
      ...kept
        .slice(0, 2)
        .flatMap((table) => [[`DELETE FROM ${table}`], [`INSERT INTO ${table} SELECT * FROM kept_${table}`]] as const),
    );
    await tamper(
      ['DELETE FROM invoices WHERE series_number = 4'],
      ['UPDATE invoice_series SET last_number = 3, head_hash = (SELECT hash FROM invoices WHERE series_number = 3)'],
    );
    expect((await run('--anchors', path)).faults[0]).toBe(invoices(4, undefined, 'cut_off'));
  });

  it('are not written of a chain that is broken', async () => {
    const path = join(folder, 'none');
    await tamper(["UPDATE audit_log SET actor = 'nobody' WHERE lane = 0 AND sequence = 5"]);
    expect(await run('--write-anchors', path)).toMatchObject({ code: 1 });
    expect(() => readFileSync(path)).toThrow('ENOENT');
  });

  it('tell of an organization that is gone', async () => {
    const path = join(folder, 'gone');
    writeFileSync(
      path,
      `${JSON.stringify({ organization_id: 'org_gone', chain: 'audit', number: 1, hash: 'a'.repeat(64) })}\n`,
    );
    expect(await run('--anchors', path)).toMatchObject({ code: 1, faults: [expect.stringContaining('org_gone')] });
  });

  it.each([
    ['is not there', undefined, /can't be read: ENOENT/],
    ['holds something else', 'nonsense\n', /line 1 is no anchor: nonsense/],
    [
      'ends in half a line',
      `{"organization_id":"org_1","chain":"audit","number":1,"hash":"${'a'.repeat(64)}"}\n{"organ`,
      /line 2 is no anchor/,
    ],
  ])('in a file that %s are not passed over in silence: code 2', async (_, content, message) => {
    const path = join(folder, `wrong-${Math.abs(content?.length ?? 0)}`);
    if (content !== undefined) writeFileSync(path, content);
    const { code, stdout, stderr } = await run('--anchors', path);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(message);
  });
});

describe('the command', () => {
  it('of one organization reads that one alone, and says so where there is none of that name', async () => {
    const { organizationId, sandboxId } = tenant;
    const of = (id: string, ...words: string[]) => run('--organization', id, ...words);
    await tamper(
      [
        "UPDATE audit_log SET actor = 'nobody' WHERE organization_id = $1 AND lane = 0 AND sequence = 5",
        [organizationId],
      ],
      // Of nobody's: it is looked for where all are.
      ["INSERT INTO invoice_series SELECT 'org_stray', 0, head_hash FROM invoice_series LIMIT 1"],
    );
    const faults = [audit(5, (await rowAt(5)).id, 'hash_differs')];
    expect(await of(organizationId)).toMatchObject({ code: 1, faults });
    const gone = join(folder, 'of-another');
    const anchor = { organization_id: organizationId, chain: 'audit', number: 1, hash: 'a'.repeat(64) };
    writeFileSync(gone, `${JSON.stringify(anchor)}\n`);
    const sound = await of(sandboxId, '--anchors', gone);
    expect(sound).toMatchObject({ code: 0, faults: [], stderr: '' });
    const lines = sound.stdout.trim().split('\n');
    expect(lines.slice(0, -1).every((line) => line.startsWith(`${sandboxId} `))).toBe(true);
    expect(lines.length).toBeGreaterThan(1);
    const through = await verify(pipeline.databaseUrl, ['--organization', sandboxId], 'platform/local/verify.main.ts');
    expect(through).toMatchObject({ code: 0, faults: [] });
    expect(await of('org_nobody')).toEqual({
      code: 2,
      faults: [],
      stdout: '',
      stderr: 'the chains could not be verified: there is no organization org_nobody\n',
    });
    expect((await run()).faults).toEqual(expect.arrayContaining(faults));
    expect((await of(organizationId, '--colour', 'red')).code).toBe(2);
    await tamper(["DELETE FROM invoice_series WHERE organization_id = 'org_stray'"]);
  });

  it('works through npm run verify as it does by itself, faults and code included', async () => {
    const through = () => verify(pipeline.databaseUrl, [], 'platform/local/verify.main.ts');
    expect(await through()).toMatchObject({ code: 0, faults: [] });
    await tamper(["UPDATE audit_log SET actor = 'nobody' WHERE lane = 0 AND sequence = 5"]);
    expect(await through()).toMatchObject({ code: 1, faults: [audit(5, (await rowAt(5)).id, 'hash_differs')] });
  });

  it.each(['millrace_app', 'millrace_worker'] as const)(
    'verifies nothing as %s, which does not see everything: code 2',
    async (login) => {
      const { code, stderr } = await verify(loginUrl(pipeline.databaseUrl, login, databasePassword));
      expect(code).toBe(2);
      expect(stderr).toContain('has to name the owner of the schema');
    },
  );

  it('says where it is called wrongly, or can not reach the database: code 2', async () => {
    expect(await run('--colour')).toMatchObject({ code: 2, stderr: expect.stringContaining('usage: npm run verify') });
    expect(await verify('postgres://nobody@127.0.0.1:1/none')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('could not be verified'),
    });
  });

  it('goes on beside changes: it reads one moment of them', async () => {
    let running = true;
    const writing = (async () => {
      for (let count = 0; running; count += 1)
        await pipeline.api('PATCH', `/v1/meters/${objects.meter}`, { name: `M ${count}` });
    })();
    for (let round = 0; round < 3; round += 1) expect(await run()).toMatchObject({ code: 0, faults: [] });
    running = false;
    await writing;
  });
});
