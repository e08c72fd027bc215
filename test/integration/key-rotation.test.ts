/** Rotation of the keys that encrypt at rest, on the real PostgreSQL: under writers, killed, and run again. */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { type Clock, systemClock } from '#platform/process/clock.ts';
import { newId } from '#platform/process/ids.ts';
import { isUnderOwnKey, keyVersionOf } from '#platform/secrets/encryption.ts';
import { type RotationReport, rotateKeys } from '#platform/secrets/rotate-keys.ts';
import { type MasterKeys, masterKeysFrom } from '#platform/secrets/vault.ts';
import type { Postgres } from '#platform/stores/postgres.ts';
import { sealedColumns } from '#schemas/sealed-columns.ts';
import { type Customer, createCustomerStore } from '../../api/customers/customers.postgres.ts';
import { untilOneWaits } from '../support/lock-waiters.ts';
import { until } from '../support/pipeline.ts';
import { compileCache } from '../support/quick.ts';
import {
  addAnswer,
  addCustomers,
  addDerivedCustomers,
  addSealedCustomers,
  addSecret,
  answerOf,
  createSealedDatabase,
  masterKeys,
  newMaster,
  oldMaster,
  type SealedDatabase,
  sealingDerived,
  secretOf,
  vaultWith,
} from '../support/sealed-database.ts';

let database: SealedDatabase;
beforeAll(async () => {
  database = await createSealedDatabase(inject('serverUrls'));
});
afterAll(() => database.close());

const rotate = (
  options: { masterKeys?: MasterKeys; renewDataKeys?: boolean; clock?: Clock } = {},
): Promise<RotationReport> =>
  rotateKeys(database.owner, {
    masterKeys,
    renewDataKeys: false,
    clock: systemClock,
    ...options,
    columns: Object.values(sealedColumns),
  });

/** The versions of the data keys that the own keys of the customers are under; all of them must have one. */
const keyVersionsIn = (rows: readonly { personal: Buffer; own: Buffer | null }[]): Set<number> => {
  expect(rows.every(({ personal }) => isUnderOwnKey(personal))).toBe(true);
  return new Set(rows.map(({ own }) => keyVersionOf(own as Buffer)));
};

const columnOf = (report: RotationReport, name: string) => report.columns.find((column) => column.name === name);

describe('a rotation', () => {
  it('knows every column of bytes that holds something sealed', async () => {
    const { rows } = await database.owner.query<{ name: string }>(
      `SELECT table_name || '.' || column_name AS name FROM information_schema.columns WHERE table_schema = 'public'
         AND data_type = 'bytea' ORDER BY 1`,
    );
    const notSealed = [
      'amended_events.row_digest',
      'api_keys.key_hash',
      'data_keys.wrapped',
      'idempotency_keys.fingerprint',
      'quotes.content_hash',
      'quotes.link_hash',
    ];
    const sealed = Object.values(sealedColumns).map(({ table, column }) => `${table}.${column}`);
    expect(rows.map(({ name }) => name)).toEqual([...notSealed, ...sealed].toSorted());
  });

  it('to new data keys seals every value of every column anew, and a process that runs follows within a minute', async () => {
    const db = await database.newOrganization();
    let nowMs = 1_800_000_000_000;
    const running = vaultWith(masterKeys, { nowMs: () => nowMs });
    const ids = await addSealedCustomers(db, 1_203, running);
    const [keyId, key] = [newId('key'), 'an-idempotency-key'];
    const [secret, answer] = await running.sealMany(db, [
      { place: secretOf(db.organizationId, keyId), plaintext: Buffer.from('a signing secret') },
      { place: answerOf(db.organizationId, key), plaintext: Buffer.from('{"id":"cus_1"}') },
    ]);
    await addSecret(db, keyId, secret as Buffer);
    await addAnswer(db, key, answer as Buffer);
    await addAnswer(db, 'still running', Buffer.alloc(0));
    const before = await database.personalRows(db.organizationId);

    const report = await rotate({ renewDataKeys: true });
    expect(report.columns.map(({ left }) => left)).toEqual([0, 0, 0, 0, 0, 0, 0]);
    expect(columnOf(report, 'customer_keys.wrapped')?.resealed).toBeGreaterThanOrEqual(ids.length);
    expect((await database.dataKeysOf(db.organizationId)).map(({ version }) => version)).toEqual([1, 2]);
    const rows = await database.personalRows(db.organizationId);
    expect(keyVersionsIn(rows)).toEqual(new Set([2]));
    // The key of a customer is the same key, and what it sealed is left alone.
    expect(rows.map(({ personal }) => personal)).toEqual(before.map(({ personal }) => personal));
    expect(await database.openAll(db)).toEqual(new Map(ids.toSorted().map((id) => [id, id])));
    const [stored] = (
      await db.query(
        `SELECT (SELECT signing_secret FROM api_keys WHERE id = $1) AS secret, body AS answer FROM idempotency_keys
         WHERE key = $2`,
        [keyId, key],
      )
    ).rows;
    expect([stored.secret, stored.answer].map(keyVersionOf)).toEqual([2, 2]);
    expect(String(await running.open(db, secretOf(db.organizationId, keyId), stored.secret))).toBe('a signing secret');
    expect(String(await running.open(db, answerOf(db.organizationId, key), stored.answer))).toBe('{"id":"cus_1"}');

    const versionNow = async () =>
      keyVersionOf(await running.seal(db, answerOf(db.organizationId, 'x'), Buffer.alloc(1)));
    nowMs += 59_999;
    expect(await versionNow()).toBe(1);
    nowMs += 1;
    expect(await versionNow()).toBe(2);
  });

  it('seals names that were in clear, as JSON, and leaves what is sealed alone', async () => {
    const db = await database.newOrganization();
    const clear = Array.from({ length: 600 }, (_, index) => ({
      id: newId('cus'),
      personal: null,
      name: `Zoë "${index}"`,
    }));
    await addCustomers(database.owner, db.organizationId, clear);
    const report = await rotate();
    expect(columnOf(report, 'customers.personal')).toMatchObject({ sealedFromClear: 600 });
    const opened = await database.openAll(db);
    for (const { id, name } of clear) expect(JSON.parse(opened.get(id) ?? '')).toEqual({ name });
    const before = await database.personalRows(db.organizationId);
    expect(await rotate()).toMatchObject({
      rewrapped: 0,
      renewed: 0,
      columns: [{ sealedFromClear: 0, resealed: 0 }, ...Array(6).fill({ resealed: 0 })],
    });
    expect(await database.personalRows(db.organizationId)).toEqual(before);
  });

  it('overwrites nothing that a process writes meanwhile, and what it leaves the next one finds', async () => {
    const db = await database.newOrganization();
    const personalText = (name: string) => JSON.stringify({ name });
    const ids = await addDerivedCustomers(db, 2_000, personalText);
    const last = new Map(ids.map((id) => [id, personalText(id)]));
    const stopping = new AbortController();
    let writes = 0;
    const writer = async (mine: readonly string[]) => {
      // Knows version 1 for a minute.
      const vault = vaultWith();
      await vault.prepare(db, db.organizationId);
      const store = createCustomerStore(vault);
      for (let turn = 0; !stopping.signal.aborted; turn += 1) {
        const id = mine[turn % mine.length] as string;
        const name = `${id} ${turn}`;
        await db.transaction(async (client) => {
          const transaction = { ...client, organizationId: db.organizationId };
          const customer = (await store.customer(transaction, id, 'lock')) as Customer;
          await store.changeCustomer(transaction, customer, { ...customer, personal: { name } }, new Date());
        });
        last.set(id, personalText(name));
        writes += 1;
      }
    };
    const writing = Promise.all([0, 1, 2].map((number) => writer(ids.filter((_, index) => index % 3 === number))));
    await until(
      async () => writes,
      (count) => count > 100,
    );
    for (let round = 0; round < 3; round += 1) await rotate({ renewDataKeys: round === 0 });
    stopping.abort();
    await writing;
    expect(await database.openAll(db)).toEqual(new Map([...last].toSorted(([a], [b]) => (a < b ? -1 : 1))));
    const report = await rotate();
    expect(report.columns.map(({ left }) => left)).toEqual([0, 0, 0, 0, 0, 0, 0]);
    const rows = await database.personalRows(db.organizationId);
    expect(keyVersionsIn(rows)).toEqual(new Set([2]));
    expect(await database.openAll(db)).toEqual(new Map([...last].toSorted(([a], [b]) => (a < b ? -1 : 1))));
  });

  it('gives no key to a customer that is erased meanwhile, and leaves nothing of it', async () => {
    const db = await database.newOrganization();
    const ids = await addDerivedCustomers(db, 1_500, (id) => JSON.stringify({ name: id }));
    const erased = new Set(ids.filter((_, index) => index % 25 === 0));
    const store = createCustomerStore(vaultWith());
    const erasing = async () => {
      for (const id of erased)
        await db.transaction(async (client) => {
          const transaction = { ...client, organizationId: db.organizationId };
          await store.customer(transaction, id, 'lock');
          await store.eraseCustomer(transaction, id, new Date());
        });
    };
    await Promise.all([rotate(), erasing()]);
    await rotate();
    const rows = await database.personalRows(db.organizationId);
    const left = rows.filter(({ personal, own }) => personal === null && own === null);
    expect(new Set(left.map(({ id }) => id))).toEqual(erased);
    const kept = rows.filter(({ id }) => !erased.has(id));
    expect(kept.every(({ personal, own }) => isUnderOwnKey(personal) && own !== null)).toBe(true);
  });

  it('deletes a data key only an hour after it was replaced, and only once it seals nothing', async () => {
    const db = await database.newOrganization();
    const [id = ''] = await addDerivedCustomers(db, 1);
    const late = (await sealingDerived(db))(id, 'late');
    const versions = async () => (await database.dataKeysOf(db.organizationId)).map(({ version }) => version);
    const nowMs = Date.now();
    await rotate({ renewDataKeys: true, clock: { nowMs: () => nowMs } });
    await rotate({ clock: { nowMs: () => nowMs + 3_600_000 } });
    expect(await versions()).toEqual([1, 2]);
    const later = {
      clock: { nowMs: () => nowMs + 3_600_001 },
      masterKeys,
      renewDataKeys: false,
      columns: Object.values(sealedColumns),
    };
    // Written between the last look at the customers and the deletion, by someone who knew nothing of the new key.
    const withLateWriter: Pick<Postgres, 'query' | 'transaction'> = {
      transaction: database.owner.transaction,
      query: async (sql, values) => {
        if (sql.startsWith('DELETE'))
          await database.owner.query(
            `WITH k AS (DELETE FROM customer_keys WHERE customer_id = $2)
             UPDATE customers SET personal = $1 WHERE id = $2`,
            [late, id],
          );
        return database.owner.query(sql, values);
      },
    };
    await rotateKeys(withLateWriter, later);
    expect(await versions()).toEqual([1, 2]);
    expect(await database.openAll(db)).toEqual(new Map([[id, 'late']]));
    await rotateKeys(database.owner, later);
    expect(await versions()).toEqual([2]);
    expect(await database.openAll(db)).toEqual(new Map([[id, 'late']]));
  });

  it('for which a master key is missing changes nothing and names it', async () => {
    const db = await database.newOrganization();
    await addSealedCustomers(db, 1);
    const before = await database.dataKeysOf(db.organizationId);
    const wrong = masterKeysFrom({ masterKey: newMaster, previousMasterKey: '' });
    await expect(rotate({ masterKeys: wrong, renewDataKeys: true })).rejects.toThrow(
      `${masterKeys.current.id}, which is not given`,
    );
    expect(await database.dataKeysOf(db.organizationId)).toEqual(before);
  });

  it('to a new master key makes the old one needless', async () => {
    const db = await database.newOrganization();
    const [id = ''] = await addSealedCustomers(db, 1);
    const both = masterKeysFrom({ masterKey: newMaster, previousMasterKey: oldMaster });
    const onlyNew = masterKeysFrom({ masterKey: newMaster, previousMasterKey: '' });
    const report = await rotate({ masterKeys: both });
    expect(report.rewrapped).toBe(report.dataKeys);
    expect(new Set((await database.dataKeysOf(db.organizationId)).map((key) => key.master_key_id))).toEqual(
      new Set([onlyNew.current.id]),
    );
    expect(await database.openAll(db, onlyNew)).toEqual(new Map([[id, id]]));
    await expect(database.openAll(db, masterKeys)).rejects.toThrow(/is not given/);
    // And back, for the other tests.
    await rotate({ masterKeys: masterKeysFrom({ masterKey: oldMaster, previousMasterKey: newMaster }) });
    expect(await database.openAll(db)).toEqual(new Map([[id, id]]));
  });
});

const commandFile = new URL('../../platform/local/rotate-keys.main.ts', import.meta.url).pathname;

const startCommand = (settings: Record<string, string>, ...words: string[]) => {
  const child = spawn(process.execPath, [commandFile, ...words], {
    env: {
      PATH: process.env.PATH ?? '',
      ...compileCache,
      DATABASE_URL: database.databaseUrl,
      MILLRACE_HOME: join(tmpdir(), 'millrace-test-absent'),
      ...settings,
    },
  });
  const finished = Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
  return { child, finished: finished.then(([stdout, stderr, [code, signal]]) => ({ stdout, stderr, code, signal })) };
};

describe('npm run rotate-keys', () => {
  it('that is killed in the middle of a master key, of data keys and of names in clear is finished by the next run', async () => {
    const db = await database.newOrganization();
    const ids = await addDerivedCustomers(db, 3_000);
    const clear = Array.from({ length: 1_500 }, () => ({ id: newId('cus'), personal: null, name: 'Zoë' })).toSorted(
      (a, b) => (a.id < b.id ? -1 : 1),
    );
    await addCustomers(database.owner, db.organizationId, clear);
    const settings = { MILLRACE_MASTER_KEY: newMaster, MILLRACE_PREVIOUS_MASTER_KEY: oldMaster };
    const both = masterKeysFrom({ masterKey: newMaster, previousMasterKey: oldMaster });
    /** Kills the command while it waits for the lock of one row, that is, in the middle of a statement. */
    const killAt = async (statement: string, locked: string, value: string, ...words: string[]) => {
      await database.owner.transaction(async (client) => {
        await client.query(locked, [value]);
        const { child, finished } = startCommand(settings, ...words);
        await untilOneWaits(database.owner, 'query LIKE $1', [statement]);
        child.kill('SIGKILL');
        expect(await finished).toMatchObject({ signal: 'SIGKILL' });
      });
      // Its backend goes on with the statement, now that the row is free, until it has nobody to tell.
      await until(
        async () =>
          (
            await database.owner.query(
              `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' AND query LIKE $1
                 AND pid <> pg_backend_pid()`,
              [statement],
            )
          ).rowCount,
        (count) => count === 0,
      );
    };
    const lockCustomer = 'SELECT 1 FROM customers WHERE id = $1 FOR UPDATE';
    await killAt(
      'UPDATE data_keys%',
      'SELECT 1 FROM data_keys WHERE organization_id = $1 FOR UPDATE',
      db.organizationId,
    );
    await killAt('%UPDATE customers%', lockCustomer, clear[700]?.id ?? '', '--data-keys');
    await killAt('%UPDATE customers%', lockCustomer, ids[1_600] ?? '');
    const rowsNow = () => database.personalRows(db.organizationId);
    const derived = (await rowsNow()).filter(({ personal }) => !isUnderOwnKey(personal));
    expect(derived.length).toBeGreaterThan(0);
    expect(derived.length).toBeLessThan(ids.length);
    expect((await database.openAll(db, both)).size).toBe(4_500);

    const { code, stdout, stderr } = await startCommand(settings).finished;
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain(`Master key ${both.current.id} wraps all data keys`);
    expect(keyVersionsIn(await rowsNow())).toEqual(new Set([2]));
    const expected = [...ids.map((id) => [id, id] as const), ...clear.map(({ id }) => [id, '{"name":"Zoë"}'] as const)];
    const onlyNew = masterKeysFrom({ masterKey: newMaster, previousMasterKey: '' });
    expect(await database.openAll(db, onlyNew)).toEqual(new Map(expected.toSorted(([a], [b]) => (a < b ? -1 : 1))));
    await rotate({ masterKeys: masterKeysFrom({ masterKey: oldMaster, previousMasterKey: newMaster }) });
  });

  it.each([
    ['no master key, and none is kept', {}, /MILLRACE_MASTER_KEY is missing, and there is no .+master-key/],
    [
      'a master key of 31 bytes',
      { MILLRACE_MASTER_KEY: randomBytes(31).toString('base64') },
      /MILLRACE_MASTER_KEY must be 32 bytes/,
    ],
    [
      'another master key',
      { MILLRACE_MASTER_KEY: newMaster },
      /the rotation stopped: data keys are wrapped by the master key [0-9a-f]{8}, which is not given/,
    ],
  ])('that is given %s says so and ends with code 1', async (_, settings, message) => {
    await addSealedCustomers(await database.newOrganization(), 1);
    const { code, stdout, stderr } = await startCommand(settings).finished;
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(message);
  });
});
