/** The pool on a real PostgreSQL: every statement ends, and a connection serves who it was lent to. */
import { pino } from 'pino';
import { afterAll, expect, inject, it } from 'vitest';
import { bigintArray, instantArray, integerArray, jsonArray, textArray } from '#platform/stores/array-parameters.ts';
import { connectPostgres } from '#platform/stores/postgres.ts';
import { UnavailableError } from '#platform/stores/retry.ts';

const log = pino({ level: 'silent' });
const connect = (poolMax: number, bounds: { statementMsMax?: number; lockMsMax?: number } = {}) =>
  connectPostgres(inject('serverUrls').postgres, { poolMax, log, ...bounds });

const owner = connect(1);
afterAll(() => owner.close());

const pidOf = async (db: Pick<typeof owner, 'query'>): Promise<number> =>
  (await db.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')).rows[0]?.pid as number;
const organization = "SELECT current_setting('millrace.organization_id', true) AS id";

it('[I10] a statement that a hanging server does not answer ends, in a transaction too, and its connection is not used again', async () => {
  const pool = connect(1, { statementMsMax: 300 });
  const stopped: number[] = [];
  try {
    for (const work of [() => pool.query('SELECT 1'), () => pool.transaction((client) => client.query('SELECT 1'))]) {
      const pid = await pidOf(pool);
      process.kill(pid, 'SIGSTOP');
      stopped.push(pid);
      await expect(work()).rejects.toBeInstanceOf(UnavailableError);
      expect(await pidOf(pool)).not.toBe(pid);
    }
  } finally {
    for (const pid of stopped) process.kill(pid, 'SIGCONT');
    await pool.close();
  }
});

it('a transaction that stands still lets go of its locks, and a wait for a lock ends before that', async () => {
  await owner.query('CREATE TABLE held (id integer PRIMARY KEY)');
  await owner.query('INSERT INTO held VALUES (1)');
  const pool = connect(2, { statementMsMax: 2_000, lockMsMax: 200 });
  const { promise: locked, resolve: isLocked } = Promise.withResolvers<void>();
  const { promise: woken, resolve: wake } = Promise.withResolvers<void>();
  const hanging = pool.transaction(async (client) => {
    await client.query('UPDATE held SET id = 1');
    isLocked();
    await woken;
    await client.query('UPDATE held SET id = 2');
  });
  await locked;
  await expect(pool.query('UPDATE held SET id = 3')).rejects.toBeInstanceOf(UnavailableError);
  await owner.query('UPDATE held SET id = 3');
  wake();
  await expect(hanging).rejects.toThrow();
  expect((await owner.query('SELECT id FROM held')).rows).toEqual([{ id: 3 }]);
  await pool.close();
});

it('a transaction in which a statement failed does not pass for committed, whoever passed over the fault', async () => {
  await owner.query('CREATE TABLE passed_over (id integer)');
  const done = owner.transaction(async (client) => {
    await client.query('INSERT INTO passed_over VALUES (1)');
    await client.query('SELECT 1 / 0').catch(() => {});
    return 'done';
  });
  await expect(done).rejects.toThrow('to be committed');
  expect((await owner.query('SELECT id FROM passed_over')).rows).toEqual([]);
});

it('of statements that are asked for in one go, those behind one that fails are not carried out, and the connection goes on', async () => {
  await owner.query('CREATE TABLE together (id integer)');
  const add = 'INSERT INTO together VALUES ($1) RETURNING id';
  const after = "SELECT $1::integer AS n, 'prepared behind a fault' AS text";
  const pid = await pidOf(owner);
  const failed = owner.transaction(async (client) => {
    const asked = [client.query(add, [1]), client.query('SELECT 1 / $1::integer', [0]), client.query(after, [3])];
    const [first, second, third] = await Promise.allSettled(asked);
    expect(first).toMatchObject({ status: 'fulfilled', value: { rows: [{ id: 1 }], rowCount: 1 } });
    expect(second).toMatchObject({ status: 'rejected', reason: { code: '22012' } });
    expect(third).toMatchObject({ status: 'rejected', reason: { code: '22012' } });
    return 'done';
  });
  await expect(failed).rejects.toThrow('to be committed');
  const rows = await owner.transaction(async (client) => {
    const asked = [client.query(after, [4]), client.query(add, [5]), client.query(after, [6])];
    return (await Promise.all(asked)).map((result) => result.rows[0]);
  });
  expect(rows).toEqual([
    { n: 4, text: 'prepared behind a fault' },
    { id: 5 },
    { n: 6, text: 'prepared behind a fault' },
  ]);
  expect((await owner.query('SELECT id FROM together')).rows).toEqual([{ id: 5 }]);
  expect(await pidOf(owner)).toBe(pid);
});

it('rows whose shape a migration changed fail once, and are read as they are from then on', async () => {
  await owner.query('CREATE TABLE shaped (id integer, tags text[])');
  await owner.query("INSERT INTO shaped VALUES (1, '{a,b}'), (2, NULL)");
  const pool = connect(1);
  const read = () => pool.transaction((client) => client.query('SELECT * FROM shaped WHERE id > $1 ORDER BY id', [0]));
  const pid = await pidOf(pool);
  const before = [
    { id: 1, tags: ['a', 'b'] },
    { id: 2, tags: null },
  ];
  for (const result of [await read(), await read()])
    expect(result).toMatchObject({ command: 'SELECT', rowCount: 2, rows: before });
  expect(await pidOf(pool)).toBe(pid);
  await owner.query('ALTER TABLE shaped DROP COLUMN tags, ADD COLUMN size bigint NOT NULL DEFAULT 7');
  await expect(read()).rejects.toMatchObject({ code: '0A000' });
  expect((await read()).rows).toEqual([
    { id: 1, size: 7n },
    { id: 2, size: 7n },
  ]);
  await pool.close();
});

it('statements beyond the number that a pool prepares are sent as they are, and leave those of another pool alone', async () => {
  const prepared = async (pool: typeof owner): Promise<number> =>
    (await pool.query<{ n: number }>('SELECT count(*)::integer AS n FROM pg_prepared_statements')).rows[0]?.n ?? 0;
  const [one, other] = [connect(1), connect(1)];
  for (let n = 0; n < 510; n += 1) expect((await one.query(`SELECT $1::integer + ${n} AS sum`, [1])).rowCount).toBe(1);
  expect(await prepared(one)).toBe(500);
  await other.query('SELECT $1::integer AS own', [1]);
  expect(await prepared(other)).toBe(1);
  await Promise.all([one.close(), other.close()]);
});

it('what is deferred comes before what is asked for behind it, and its fault undoes the transaction: with the next statement, or the COMMIT', async () => {
  await owner.query('CREATE TABLE deferred (id integer PRIMARY KEY)');
  const add = 'INSERT INTO deferred VALUES ($1)';
  const ids = 'SELECT id FROM deferred WHERE id > $1 ORDER BY id';
  const seen = await owner.transaction(async (client) => {
    client.defer(add, [1]);
    const { rows } = await client.query(ids, [0]);
    client.defer(add, [2]);
    return rows;
  });
  expect(seen).toEqual([{ id: 1 }]);
  const before = owner.transaction(async (client) => {
    client.defer(add, [3]);
    client.defer(add, [2]);
    return client.query(ids, [0]);
  });
  await expect(before).rejects.toMatchObject({ code: '23505' });
  const last = owner.transaction(async (client) => {
    await client.query(add, [4]);
    client.defer(add, [1]);
  });
  await expect(last).rejects.toMatchObject({ code: '23505' });
  const dropped = owner.transaction(async (client) => {
    client.defer(add, [5]);
    throw new Error('given up');
  });
  await expect(dropped).rejects.toThrow('given up');
  const texts = owner.transaction(async (client) => {
    client.defer(add, [6]);
    await client.query('DELETE FROM deferred WHERE id = 1; DELETE FROM deferred WHERE id = 2');
  });
  await expect(texts).resolves.toBeUndefined();
  expect((await owner.query(ids, [0])).rows).toEqual([{ id: 6 }]);
});

it('[I25] one connection serves each organization as that one: after a fault, a rollback and a statement for nobody', async () => {
  const pool = connect(1);
  const [first, second] = [pool.forOrganization('org_1'), pool.forOrganization('org_2')];
  const pid = await pidOf(pool);
  expect((await first.query(organization)).rows).toEqual([{ id: 'org_1' }]);
  await expect(second.query('SELECT 1 / 0')).rejects.toThrow('division');
  expect((await first.query(organization)).rows).toEqual([{ id: 'org_1' }]);
  const undone = second.transaction(async (client) => {
    expect((await client.query(organization)).rows).toEqual([{ id: 'org_2' }]);
    throw new Error('undone');
  });
  await expect(undone).rejects.toThrow('undone');
  expect((await second.query(organization)).rows).toEqual([{ id: 'org_2' }]);
  expect((await pool.query(organization)).rows).toEqual([{ id: '' }]);
  expect((await pool.forOrganization('').query(organization)).rows).toEqual([{ id: '' }]);
  expect(await pidOf(first)).toBe(pid);
  await pool.close();
});

it('one organization holds half of the connections at most: others are served meanwhile, and its own wait their turn or give up', async () => {
  const pool = connect(4);
  const [busy, other] = [pool.forOrganization('org_busy'), pool.forOrganization('org_other')];
  let served = 0;
  const long = Array.from({ length: 2 }, () => busy.query('SELECT pg_sleep(4)'));
  const short = Array.from({ length: 20 }, () => busy.query('SELECT 1').then(() => (served += 1)));
  expect((await other.query(organization)).rows).toEqual([{ id: 'org_other' }]);
  expect(served).toBe(0);
  const outcomes = await Promise.allSettled(short);
  for (const outcome of outcomes)
    expect(outcome).toMatchObject({ status: 'rejected', reason: { name: 'UnavailableError' } });
  await Promise.all(long);
  await Promise.all(Array.from({ length: 20 }, () => busy.query('SELECT 1')));
  await pool.close();
});

it('an array in binary form is the array that it was made of: empty, with nulls, with what a text would have to escape', async () => {
  const read = async (type: string, array: Buffer): Promise<unknown> =>
    (await owner.query(`SELECT to_json($1::${type}[])::text AS array`, [array])).rows[0]?.array;
  for (const [type, none] of [
    ['text', textArray([])],
    ['json', jsonArray([])],
    ['integer', integerArray([])],
    ['bigint', bigintArray([])],
    ['timestamptz', instantArray([])],
  ] as const)
    expect([type, await read(type, none)]).toEqual([type, '[]']);
  const texts = ['', 'a', null, '{"x",\\"y"}', 'NULL', 'ö€😀', "'\n"];
  expect(JSON.parse(String(await read('text', textArray(texts))))).toEqual(texts);
  expect(await read('json', jsonArray(['{"b" : "ö", "a": 1.10}', null]))).toBe('[{"b" : "ö", "a": 1.10},null]');
  expect(await read('integer', integerArray([0, -1, 2_147_483_647]))).toBe('[0,-1,2147483647]');
  const numbers = ['0', '-1', '9223372036854775807', '-9223372036854775808'];
  expect(await read('bigint', bigintArray(numbers))).toBe(`[${numbers}]`);
  expect(await read('integer', integerArray([null, 7, null]))).toBe('[null,7,null]');
  expect(await read('bigint', bigintArray([7, null, 8n]))).toBe('[7,null,8]');
  expect(await read('timestamptz', instantArray([null]))).toBe('[null]');
  const instants = [
    '1969-12-31T23:59:59.999Z',
    '2000-01-01T00:00:00Z',
    '2026-11-28T12:00:00.001Z',
    '0001-01-01T00:00:00Z',
  ];
  const { rows } = await owner.query<{ array: Date[] }>('SELECT $1::timestamptz[] AS array', [
    instantArray(instants.map((text) => Date.parse(text))),
  ]);
  expect(rows[0]?.array.map((at) => at.getTime())).toEqual(instants.map((text) => Date.parse(text)));
  await expect(owner.query('SELECT $1::json[]', [jsonArray(['{'])])).rejects.toThrow(
    /invalid input syntax for type json/,
  );
});
