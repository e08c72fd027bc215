/**
 * Lists against the real PostgreSQL: pages while rows come and go, hostile queries, and the plan of a page far behind.
 */
import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { migrateAll } from '#platform/stores/migrate.ts';
import type { Queryable } from '#platform/stores/postgres.ts';
import { customerList } from '../../api/customers/customers.postgres.ts';
import { createCursors } from '../../api/route/cursors.ts';
import { listRows } from '../../api/route/list-rows.postgres.ts';
import { defineList, type List, listJson } from '../../api/route/lists.ts';
import { freshStores } from '../support/fresh-stores.ts';
import { scaled } from '../support/scale.ts';

const cursors = createCursors(randomBytes(32).toString('hex'));

const things = defineList({
  name: 'things',
  columns: 't.id, t.label, t.state, t.made_at, t.size, o.name AS owner',
  from: 'things t JOIN owners o ON o.id = t.organization_id',
  countFrom: 'things t',
  organization: 't.organization_id',
  id: 't.id',
  sorts: {
    created_at: { column: 't.made_at', type: 'timestamptz' },
    label: { column: 't.label', type: 'text' },
    size: { column: 't.size', type: 'bigint' },
  },
  filters: {
    label: { column: 't.label' },
    state: { column: 't.state', choices: ['active', 'ended'] },
    any_label: {
      column: 't.label',
      test: (value) => `t.label IN (SELECT label FROM things WHERE organization_id = $1 AND id = ${value})`,
    },
  },
  times: { created_at: 't.made_at' },
});

/** A row, with its time in microseconds since 2026. */
type Thing = { id: string; organization_id: string; label: string; state: string; micros: number; size: bigint };

let reader: pg.Client;
/** Another connection, for what changes between pages. */
let writer: pg.Client;

const client = async (url: string): Promise<pg.Client> => {
  const made = new pg.Client({ connectionString: url });
  await made.connect();
  return made;
};
const asQueryable = (of: pg.Client): Queryable => ({ query: (text, values) => of.query(text, values as unknown[]) });

beforeAll(async () => {
  const { databaseUrl, clickhouseUrl } = await freshStores(inject('serverUrls'));
  await migrateAll({ databaseUrl, clickhouseUrl });
  reader = await client(databaseUrl);
  writer = await client(databaseUrl);
  // A cursor must not depend on the zone of a session.
  await reader.query("SET TIME ZONE 'America/St_Johns'");
  await writer.query(`
    CREATE TABLE owners (id text PRIMARY KEY, name text NOT NULL);
    INSERT INTO owners VALUES ('org_1', 'one'), ('org_2', 'two');
    CREATE UNLOGGED TABLE things (id text PRIMARY KEY, organization_id text NOT NULL, label text NOT NULL,
      state text NOT NULL, made_at timestamptz NOT NULL, size bigint NOT NULL)`);
});

afterAll(async () => {
  await reader?.end();
  await writer?.end();
});

const epoch = Date.UTC(2026, 0, 1);
/** Microseconds since 2026 as RFC 3339. */
const timeText = (micros: number): string =>
  `${new Date(epoch + Math.floor(micros / 1000)).toISOString().slice(0, -1)}${String(micros % 1000).padStart(3, '0')}Z`;

const insert = async (rows: readonly Thing[]): Promise<void> => {
  if (rows.length === 0) return;
  const columns = [
    rows.map(({ id }) => id),
    rows.map((row) => row.organization_id),
    rows.map(({ label }) => label),
    rows.map(({ state }) => state),
    rows.map(({ micros }) => timeText(micros)),
    rows.map(({ size }) => size),
  ];
  await writer.query(
    `INSERT INTO things SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[],
       $6::bigint[])`,
    columns,
  );
};
const clear = () => writer.query('DELETE FROM things');

const compareText = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));
const compareBy: Record<string, (a: Thing, b: Thing) => number> = {
  created_at: (a, b) => a.micros - b.micros,
  label: (a, b) => compareText(a.label, b.label),
  size: (a, b) => Number(a.size - b.size),
};
/** The order of the list, from its words in API.md: by the field, then by id, both the same way. */
const orderOf = (sort: string): ((a: Thing, b: Thing) => number) => {
  const by = compareBy[sort.replace('-', '')] as (a: Thing, b: Thing) => number;
  const sign = sort.startsWith('-') ? -1 : 1;
  return (a, b) => sign * (by(a, b) || compareText(a.id, b.id));
};

type Filters = { label?: string; state?: string; after?: number; before?: number };
const matches = (row: Thing, { label, state, after, before }: Filters): boolean =>
  row.organization_id === 'org_1' &&
  (label === undefined || row.label === label) &&
  (state === undefined || row.state === state) &&
  (after === undefined || row.micros > after) &&
  (before === undefined || row.micros < before);

const hostile = ["'; DROP TABLE things; --", '%', '\\', '$1', '"', '\u{1f4b6}', '￿', 'é', '{}', ' '];
const thing = fc.record({
  organization_id: fc.constantFrom('org_1', 'org_1', 'org_1', 'org_2'),
  label: fc.constantFrom('a', 'a', 'A', 'b', ...hostile),
  state: fc.constantFrom('active', 'ended'),
  // Few and close together: many rows of one microsecond, and neighbours that share their millisecond.
  micros: fc.constantFrom(0, 1, 2, 999, 1000, 1001, 5_000_000),
  size: fc.constantFrom(-1n, 0n, 1n, 2n ** 53n, 2n ** 53n + 1n, 2n ** 63n - 1n),
});
const idBytes = fc.stringMatching(/^[0-9a-f]{8}$/);
const thingWithId = fc.tuple(idBytes, thing).map(([id, rest]): Thing => ({ id: `thg_${id}`, ...rest }));
const optional = { requiredKeys: [] as [] };
const walk = fc.record({
  rows: fc.uniqueArray(thingWithId, { minLength: 10, maxLength: 60, size: 'max', selector: ({ id }) => id }),
  sort: fc.constantFrom('created_at', '-created_at', 'label', '-label', 'size', '-size'),
  filters: fc.oneof(
    { weight: 2, arbitrary: fc.constant({}) },
    fc.record(
      {
        label: fc.constantFrom('a', 'a', ...hostile),
        state: fc.constantFrom('active', 'ended'),
        after: fc.constantFrom(0, 1, 999),
        before: fc.constantFrom(2, 1000, 1001),
      },
      optional,
    ),
  ),
  // Between pages, over and over: how many the next page has, what comes, which of those there are go.
  steps: fc.array(
    fc.record({
      limit: fc.integer({ min: 1, max: 9 }),
      come: fc.array(thingWithId, { maxLength: 3 }),
      go: fc.array(fc.nat(), { maxLength: 3 }),
    }),
    { minLength: 1, maxLength: 8 },
  ),
});

const queryOf = ({ label, state, after, before }: Filters): Record<string, string> => ({
  ...(label === undefined ? {} : { label }),
  ...(state === undefined ? {} : { state }),
  ...(after === undefined ? {} : { created_at_after: timeText(after) }),
  ...(before === undefined ? {} : { created_at_before: timeText(before) }),
});

const readThings = async (query: Record<string, string>, list: List = things) => {
  const page = list.read(query, 'org_1', cursors);
  return listJson(
    page,
    await listRows<Record<string, unknown> & { id: string }>(asQueryable(reader), list, 'org_1', page),
    (row) => row,
  );
};

describe('pages, while rows come and go', () => {
  it('show every row that was there throughout exactly once, in order, and no row twice', async () => {
    const seenStats = { pages: 0, changedBetween: 0, emptyEnds: 0 };
    await fc.assert(
      fc.asyncProperty(walk, async ({ rows, sort, filters, steps }) => {
        await clear();
        await insert(rows);
        const now = new Map(rows.map((row) => [row.id, row]));
        const stayed = new Set(rows.map(({ id }) => id));
        const ever = new Map(now);
        const order = orderOf(sort);
        const seen: Thing[] = [];
        let cursor: string | null = null;
        for (let turn = 0; ; turn += 1) {
          const step = steps[turn % steps.length] as (typeof steps)[number];
          const answer = await readThings({
            ...queryOf(filters),
            sort,
            limit: String(step.limit),
            ...(cursor ? { cursor } : {}),
          });
          const matching = [...now.values()].filter((row) => matches(row, filters)).sort(order);
          const lastSeen = seen.at(-1);
          const behind = lastSeen ? matching.filter((row) => order(row, lastSeen) > 0) : matching;
          // What a list of this moment would show behind the last row, in the model.
          expect(answer.items.map(({ id }) => id)).toEqual(behind.slice(0, step.limit).map(({ id }) => id));
          expect(answer.pagination).toMatchObject({
            total: matching.length,
            page_size: answer.items.length,
            has_more: behind.length > step.limit,
          });
          expect(answer.pagination.next_cursor === null).toBe(!answer.pagination.has_more);
          seen.push(...answer.items.map(({ id }) => now.get(id) as Thing));
          seenStats.pages += 1;
          if (cursor !== null && answer.items.length === 0) seenStats.emptyEnds += 1;
          cursor = answer.pagination.next_cursor;
          if (cursor === null) break;
          // After 60 turns nothing comes any more, so that the walk ends.
          const come =
            turn < 60
              ? step.come
                  .filter(({ id }) => !ever.has(id))
                  .filter(({ id }, at, all) => all.findIndex((o) => o.id === id) === at)
              : [];
          await insert(come);
          for (const row of come) {
            now.set(row.id, row);
            ever.set(row.id, row);
          }
          const ids = [...now.keys()];
          const go = [...new Set(ids.length === 0 ? [] : step.go.map((at) => ids[at % ids.length] as string))];
          await writer.query('DELETE FROM things WHERE id = ANY ($1)', [go]);
          for (const id of go) {
            now.delete(id);
            stayed.delete(id);
          }
          if (come.length + go.length > 0) seenStats.changedBetween += 1;
        }
        const ids = seen.map(({ id }) => id);
        expect(new Set(ids).size).toBe(ids.length);
        expect(seen.toSorted(order).map(({ id }) => id)).toEqual(ids);
        const owed = rows.filter((row) => stayed.has(row.id) && matches(row, filters)).map(({ id }) => id);
        expect(owed.filter((id) => !ids.includes(id))).toEqual([]);
      }),
      { numRuns: scaled(200) },
    );
    // The walks must have been worth it.
    expect(seenStats.pages).toBeGreaterThan(500);
    expect(seenStats.changedBetween).toBeGreaterThan(200);
  });

  it('go on behind a row that was deleted, and end with a right total where all behind it are gone', async () => {
    await clear();
    const rows = [1, 2, 3].map((n) => ({
      id: `thg_${n}`,
      organization_id: 'org_1',
      label: 'a',
      state: 'active',
      micros: 7,
      size: 0n,
    }));
    await insert(rows);
    const first = await readThings({ limit: '2' });
    expect(first.items.map(({ id }) => id)).toEqual(['thg_3', 'thg_2']);
    await writer.query("DELETE FROM things WHERE id = 'thg_2'");
    const cursor = first.pagination.next_cursor as string;
    expect((await readThings({ limit: '2', cursor })).items.map(({ id }) => id)).toEqual(['thg_1']);
    await writer.query("DELETE FROM things WHERE id = 'thg_1'");
    expect(await readThings({ limit: '2', cursor })).toEqual({
      items: [],
      pagination: { total: 1, total_relation: 'exact', page_size: 0, has_more: false, next_cursor: null },
    });
  });

  it('hold the columns of the list and no others', async () => {
    await clear();
    await insert([{ id: 'thg_1', organization_id: 'org_1', label: 'a', state: 'active', micros: 1, size: 5n }]);
    const { items } = await readThings({});
    expect(items).toEqual([
      { id: 'thg_1', label: 'a', state: 'active', made_at: new Date(epoch), size: 5n, owner: 'one' },
    ]);
  });

  it('keep to the conditions of the route', async () => {
    await clear();
    const rows = ['a', 'b', 'a'].map((label, n) => ({
      id: `thg_${n}`,
      organization_id: 'org_1',
      label,
      state: 'active',
      micros: n,
      size: 0n,
    }));
    await insert(rows);
    const page = things.read({ limit: '1' }, 'org_1', cursors, { label: 'a' });
    const found = await listRows(asQueryable(reader), things, 'org_1', page, { 't.label': 'a' });
    expect(found).toMatchObject({ rows: [{ id: 'thg_2' }], total: { count: 2 } });
    const next = things.read(
      { limit: '1', cursor: listJson(page, found, String).pagination.next_cursor },
      'org_1',
      cursors,
      {
        label: 'a',
      },
    );
    expect(await listRows(asQueryable(reader), things, 'org_1', next, { 't.label': 'a' })).toMatchObject({
      rows: [{ id: 'thg_0' }],
      total: { count: 2 },
      last: undefined,
    });
  });
});

describe('a hostile query', () => {
  it('finds by a filter what has exactly that value, whatever it means to SQL', async () => {
    await clear();
    const labels = [
      ...hostile,
      "a' OR '1'='1",
      'a", "b',
      '$2',
      '0) OR (1=1',
      "E'\\047",
      '; SELECT pg_sleep(10)',
      '/*',
      '--',
    ];
    await insert(
      labels.map((label, n) => ({
        id: `thg_${n}`,
        organization_id: 'org_1',
        label,
        state: 'active',
        micros: n,
        size: 0n,
      })),
    );
    for (const [n, label] of labels.entries()) {
      const { items, pagination } = await readThings({ label });
      expect(
        items.map(({ id }) => id),
        label,
      ).toEqual([`thg_${n}`]);
      expect(pagination.total).toBe(1);
      for (const name of ['sort', 'state', 'created_at_after', 'limit', 'cursor', label])
        await expect(readThings({ [name]: label }), `${name}=${label}`).rejects.toMatchObject({ code: 'BAD_REQUEST' });
    }
    expect((await readThings({ any_label: 'thg_3' })).items).toHaveLength(1);
    expect((await readThings({ any_label: "thg_3' OR true; --" })).items).toEqual([]);
  });

  it('[I25] sees nothing of another organization, by no filter and no cursor', async () => {
    await clear();
    await insert(
      [1, 2, 3, 4].map((n) => ({
        id: `thg_${n}`,
        organization_id: n > 2 ? 'org_2' : 'org_1',
        label: 'a',
        state: 'active',
        micros: n,
        size: 0n,
      })),
    );
    const page = things.read({ limit: '1' }, 'org_2', cursors);
    const { last } = await listRows(asQueryable(reader), things, 'org_2', page);
    const cursor = page.cursorBehind(last as NonNullable<typeof last>);
    await expect(readThings({ limit: '1', cursor })).rejects.toMatchObject({ code: 'BAD_REQUEST' });
    await expect(listRows(asQueryable(reader), things, 'org_1', page)).rejects.toThrow(
      'a page of another list or caller',
    );
    expect((await readThings({ label: 'a' })).items.map(({ id }) => id)).toEqual(['thg_2', 'thg_1']);
  });

  it('asks for the edges of time and gets an answer', async () => {
    for (const time of [
      '1970-01-01T00:00:00+23:59',
      '9999-12-31T23:59:59.999999999999-23:59',
      '9999-12-31T23:59:59.9999999Z',
    ]) {
      await expect(readThings({ created_at_after: time, created_at_before: time })).resolves.toMatchObject({
        items: [],
      });
    }
  });
});

type Plan = {
  'Node Type': string;
  'Index Name'?: string;
  'Index Cond'?: string;
  'Actual Rows'?: number;
  Plans?: Plan[];
};
const nodesOf = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(nodesOf)];

/** The plan of the page that the query asks for, as the API's login under row-level security. */
const planOf = async (list: List, query: Record<string, string>): Promise<Plan[]> => {
  const statements: { text: string; values: readonly unknown[] }[] = [];
  const spy: Queryable = {
    query: (text, values = []) => {
      statements.push({ text, values });
      return reader.query(text, values as unknown[]);
    },
  };
  await reader.query(
    "BEGIN; SET LOCAL ROLE millrace_app; SELECT set_config('millrace.organization_id', 'org_1', true)",
  );
  try {
    const page = list.read(query, 'org_1', cursors);
    await listRows(spy, list, 'org_1', page);
    expect(statements).toHaveLength(1);
    const [{ text, values } = { text: '', values: [] }] = statements;
    const { rows } = await reader.query(`EXPLAIN (ANALYZE, FORMAT JSON) ${text}`, values as unknown[]);
    return nodesOf(rows[0]['QUERY PLAN'][0].Plan as Plan);
  } finally {
    await reader.query('ROLLBACK');
  }
};

describe('a page far behind', () => {
  beforeAll(async () => {
    await writer.query(
      `INSERT INTO organizations (id, name, created_at, tier) VALUES ('org_1', 'one', now(), 'scale'),
         ('org_2', 'two', now(), 'scale')`,
    );
    await writer.query(`INSERT INTO customers (id, organization_id, external_id, name, metadata, version, created_at,
        updated_at)
      SELECT 'cus_' || lpad(to_hex(n), 32, '0'), CASE WHEN n % 4 = 0 THEN 'org_2' ELSE 'org_1' END, 'ext-' || n, 'a',
        '{}', 1,
        timestamptz '2026-01-01' + n / 3 * interval '1 second', now() FROM generate_series(1, 20000) n`);
    await writer.query('VACUUM ANALYZE customers');
  });

  /** The cursor behind the row of that number, in the list's own order. */
  const cursorAt = async (sort: string, column: string, number: number): Promise<string> => {
    const direction = sort.startsWith('-') ? 'DESC' : 'ASC';
    const { rows } = await writer.query(
      `SELECT to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS created_at, external_id, id
       FROM customers
       WHERE organization_id = 'org_1' ORDER BY ${column} ${direction}, id ${direction} OFFSET ${number} LIMIT 1`,
    );
    return customerList.read({ sort }, 'org_1', cursors).cursorBehind({ value: rows[0][column], id: rows[0].id });
  };

  it.each([
    ['-created_at', 'created_at'],
    ['created_at', 'created_at'],
    ['external_id', 'external_id'],
  ])('of customers by %s is read from its place in an index, as many rows as it shows', async (sort, column) => {
    const cursor = await cursorAt(sort, column, 9_000);
    const plan = await planOf(customerList, { sort, cursor });
    expect(plan.map((node) => node['Node Type'])).not.toContain('Sort');
    const scan = plan.find((node) => node['Index Cond']?.includes(column));
    expect(scan?.['Node Type']).toMatch(/^Index (Only )?Scan$/);
    expect(scan?.['Actual Rows']).toBeLessThanOrEqual(102);
    if (column === 'created_at')
      expect(scan).toMatchObject({
        'Index Name': 'customers_current',
        'Index Cond': expect.stringContaining('ROW('),
      });
  });

  it('is the page that an offset would show', async () => {
    const cursor = await cursorAt('-created_at', 'created_at', 9_000);
    const page = customerList.read({ cursor, limit: '50' }, 'org_1', cursors);
    const { rows, total } = await listRows<{ id: string }>(asQueryable(writer), customerList, 'org_1', page);
    const expected = await writer.query(
      "SELECT id FROM customers WHERE organization_id = 'org_1' ORDER BY created_at DESC, id DESC OFFSET 9001 LIMIT 50",
    );
    expect(rows.map(({ id }) => id)).toEqual(expected.rows.map(({ id }) => id));
    expect(total).toEqual({ count: 15_000, relation: 'exact' });
  });
});
