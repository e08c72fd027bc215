/** Lists that count so far and no further, of some rows of a table alone, and that gather first what filters leave. */
import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { createCursors } from '../../api/route/cursors.ts';
import { listRows } from '../../api/route/list-rows.postgres.ts';
import { defineList, type List, type ListDefinition, listJson } from '../../api/route/lists.ts';
import { freshStores } from '../support/fresh-stores.ts';

const cursors = createCursors(randomBytes(32).toString('hex'));

const definition: ListDefinition = {
  name: 'things',
  columns: 't.id, t.label',
  from: 'things t',
  organization: 't.organization_id',
  id: 't.id',
  sorts: {
    created_at: { column: 't.made_at', type: 'timestamptz' },
    size: { column: 't.size', type: 'bigint' },
  },
  filters: { label: { column: 't.label', lead: () => 't.size DESC' }, state: { column: 't.state' } },
  times: { created_at: 't.made_at' },
};
const things = defineList(definition);

type Thing = { id: string; organization_id: string; label: string; state: string; micros: number; size: bigint };

let writer: pg.Client;
beforeAll(async () => {
  const { databaseUrl } = await freshStores(inject('serverUrls'));
  writer = new pg.Client({ connectionString: databaseUrl });
  await writer.connect();
  await writer.query(`CREATE UNLOGGED TABLE things (id text PRIMARY KEY, organization_id text NOT NULL,
    label text NOT NULL, state text NOT NULL, made_at timestamptz NOT NULL, size bigint NOT NULL)`);
});
afterAll(() => writer?.end());

const epoch = Date.UTC(2026, 0, 1);
const timeText = (micros: number): string => new Date(epoch + Math.floor(micros / 1000)).toISOString();
const clear = () => writer.query('DELETE FROM things');
const insert = (rows: readonly Thing[]) =>
  Promise.all(
    rows.map((row) =>
      writer.query('INSERT INTO things VALUES ($1, $2, $3, $4, $5, $6)', [
        row.id,
        row.organization_id,
        row.label,
        row.state,
        timeText(row.micros),
        row.size,
      ]),
    ),
  );
const readThings = async (query: Record<string, string>, list: List = things) => {
  const page = list.read(query, 'org_1', cursors);
  return listJson(page, await listRows<{ id: string }>(writer, list, 'org_1', page), (row) => row);
};

describe('the total', () => {
  const fill = (count: number) =>
    writer.query(
      `INSERT INTO things SELECT 'thg_' || lpad(n::text, 6, '0'), 'org_1', 'a', 'active', timestamptz '2026-01-01', n
       FROM generate_series(1, $1) n`,
      [count],
    );
  const totalFor = async (query: Record<string, string>) => {
    const { total, total_relation } = (await readThings({ limit: '1', ...query })).pagination;
    return [total, total_relation];
  };

  it('is exact up to 10,000, and from there on says that there are at least so many, unless all are asked for', async () => {
    await clear();
    await fill(10_000);
    expect(await totalFor({})).toEqual([10_000, 'exact']);
    await insert([{ id: 'thg_x', organization_id: 'org_1', label: 'b', state: 'active', micros: 1, size: 0n }]);
    expect(await totalFor({})).toEqual([10_000, 'at_least']);
    expect(await totalFor({ label: 'a' })).toEqual([10_000, 'exact']);
    expect(await totalFor({ total: 'exact' })).toEqual([10_001, 'exact']);
    expect(await totalFor({ total: 'bounded' })).toEqual([10_000, 'at_least']);
  });

  it('behind the last row is that of all', async () => {
    await clear();
    await fill(10_002);
    const page = things.read({ sort: 'size', limit: '1' }, 'org_1', cursors);
    const cursor = page.cursorBehind({ value: '10002', id: 'thg_010002' });
    expect(await totalFor({ sort: 'size', cursor })).toEqual([10_000, 'at_least']);
    // How much is counted is no part of what a cursor is bound to.
    expect(await totalFor({ sort: 'size', cursor, total: 'exact' })).toEqual([10_002, 'exact']);
  });

  it('is asked for by two words alone', async () => {
    for (const total of ['', 'all', '10000'])
      await expect(readThings({ total })).rejects.toMatchObject({
        code: 'BAD_REQUEST',
        faults: [{ field: 'total', code: 'not_allowed' }],
      });
  });
});

describe('a list of some rows alone, sorted by what not all of them have', () => {
  const someThings = defineList({
    name: 'some-things',
    columns: 't.id',
    from: 'things t',
    organization: 't.organization_id',
    condition: "t.state = 'active'",
    id: 't.id',
    sorts: {
      created_at: { column: 't.made_at', type: 'timestamptz' },
      size: { column: 'nullif(t.size, 0)', type: 'bigint', isNullable: true },
    },
    filters: {
      like: {
        column: 't.label',
        resolve: (value) => `(SELECT o.label FROM things o WHERE o.organization_id = $1 AND o.id = ${value})`,
      },
    },
    times: { earlier: (comparison, instant) => `t.made_at - interval '1 hour' ${comparison} ${instant}` },
  });
  const idsFor = async (query: Record<string, string>) => {
    const { items, pagination } = await readThings(query, someThings);
    expect(pagination).toMatchObject({ total: items.length, total_relation: 'exact' });
    return items.map(({ id }) => id);
  };

  it('shows and counts those that it is of, and a filter may stand for another value', async () => {
    await clear();
    const hour = 3_600_000_000;
    const thing = (n: number, more: Partial<Thing> = {}): Thing => ({
      id: `thg_${n}`,
      organization_id: 'org_1',
      label: n % 2 === 0 ? 'even' : 'odd',
      state: 'active',
      micros: n * hour,
      size: BigInt(n),
      ...more,
    });
    await insert([thing(1), thing(2, { state: 'ended' }), thing(3, { size: 0n }), thing(4), thing(5)]);
    expect(await idsFor({})).toEqual(['thg_5', 'thg_4', 'thg_3', 'thg_1']);
    expect(await idsFor({ sort: 'size' })).toEqual(['thg_1', 'thg_4', 'thg_5']);
    expect(await idsFor({ like: 'thg_2' })).toEqual(['thg_4']);
    expect(await idsFor({ like: 'thg_5', sort: '-size' })).toEqual(['thg_5', 'thg_1']);
    expect(await idsFor({ like: 'thg_9' })).toEqual([]);
    expect(await idsFor({ earlier_after: timeText(3 * hour) })).toEqual(['thg_5']);
  });
});

describe('a list that gathers first what filters leave', () => {
  const gathering = defineList({ ...definition, gathersFirst: true });
  /** All pages of a walk, without the cursors, which are of one list. */
  const walked = async (query: Record<string, string>, list: List, pages: number) => {
    const found: unknown[] = [];
    let cursor: string | null = null;
    for (let page = 0; page < pages; page += 1) {
      const answer = await readThings({ ...query, limit: '7', ...(cursor ? { cursor } : {}) }, list);
      found.push([answer.items, answer.pagination.total, answer.pagination.total_relation]);
      cursor = answer.pagination.next_cursor;
      if (cursor === null) break;
    }
    return found;
  };

  it.each([40, 10_060])('has the pages of one that does not, of %i rows', async (count) => {
    await clear();
    await writer.query(
      `INSERT INTO things SELECT 'thg_' || lpad(n::text, 6, '0'), CASE WHEN n % 97 = 0 THEN 'org_2' ELSE 'org_1' END,
         CASE WHEN n % 500 = 3 THEN 'rare' ELSE 'usual' END, 'active',
         timestamptz '2026-01-01' + (n * 7 % 11) * interval '1 second', n * 13 % 101 FROM generate_series(1, $1) n`,
      [Math.ceil((count * 97) / 96)],
    );
    for (const sort of ['created_at', '-created_at', 'size', '-size'])
      for (const filters of [
        {},
        { label: 'rare' },
        { label: 'usual' },
        { state: 'active' },
        { state: 'active', created_at_after: '2026-01-01T00:00:05Z' },
        { label: 'nothing' },
      ]) {
        const query = { ...filters, sort };
        expect(await walked(query, gathering, 8), JSON.stringify(query)).toEqual(await walked(query, things, 8));
      }
  });

  it.each([200, 10_400])(
    'has all of %i random rows that match, in their order, and how many they are',
    async (count) => {
      await clear();
      await writer.query('SELECT setseed($1)', [count / 100_000]);
      await writer.query(
        `INSERT INTO things SELECT 'thg_' || gen_random_uuid(), CASE WHEN random() < 0.02 THEN 'org_2' ELSE 'org_1' END,
         CASE WHEN random() < 0.01 THEN 'rare' ELSE 'usual' END, CASE WHEN random() < 0.9 THEN 'active' ELSE 'ended' END,
         timestamptz '2026-01-01' + floor(random() * 50) * interval '1 microsecond', floor(random() * 500)
       FROM generate_series(1, $1)`,
        [count],
      );
      for (const [filters, test] of [
        [{ label: 'usual' }, "label = 'usual'"],
        [{ label: 'usual', total: 'exact' }, "label = 'usual'"],
        [{ label: 'rare', state: 'ended' }, "label = 'rare' AND state = 'ended'"],
      ] as const)
        for (const [sort, order] of [
          ['-created_at', 'made_at DESC, id DESC'],
          ['size', 'size, id'],
        ] as const) {
          const { rows } = await writer.query<{ id: string }>(
            `SELECT id FROM things WHERE organization_id = 'org_1' AND ${test} ORDER BY ${order}`,
          );
          const isTold = rows.length <= 10_000 || 'total' in filters;
          const total = isTold ? [rows.length, 'exact'] : [10_000, 'at_least'];
          const found: string[] = [];
          for (let cursor: string | null = ''; cursor !== null; ) {
            const query = { ...filters, sort, limit: count > 1000 ? '997' : '13', ...(cursor && { cursor }) };
            const { items, pagination } = await readThings(query, gathering);
            expect([pagination.total, pagination.total_relation]).toEqual(total);
            found.push(...items.map(({ id }) => id));
            cursor = pagination.next_cursor;
          }
          expect(found).toEqual(rows.map(({ id }) => id));
        }
    },
  );
});
