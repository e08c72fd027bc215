/** Test clocks as they are made, read and set going. What then happens is the work of the invoicer. */
import { newId } from '#platform/process/ids.ts';
import { type TestClockState, testClockStates } from '#schemas/http/test-clocks.ts';
import type { Instant } from '#schemas/period.ts';
import type { Db } from '../route/define-route.ts';
import { listRows } from '../route/list-rows.postgres.ts';
import { defineList, type ListPage } from '../route/lists.ts';
import { headFromRow, type ResourceHead, type ResourceRow } from '../route/resource-fields.ts';

export type TestClock = ResourceHead & {
  readonly id: string;
  readonly name: string | null;
  readonly now: Instant;
  readonly state: TestClockState;
  /** Null where it does not advance. */
  readonly target: Instant | null;
  readonly failure: string | null;
};

type TestClockRow = ResourceRow & {
  id: string;
  name: string | null;
  now_at: Date;
  state: TestClockState;
  target_at: Date | null;
  failure: string | null;
};

const columns = 'id, name, now_at, state, target_at, failure, metadata, version, created_at, updated_at';

const fromRow = (row: TestClockRow): TestClock => ({
  id: row.id,
  name: row.name,
  now: row.now_at.getTime(),
  state: row.state,
  target: row.target_at?.getTime() ?? null,
  failure: row.failure,
  ...headFromRow(row),
});

const clockList = defineList({
  name: 'test-clocks',
  columns,
  from: 'test_clocks',
  id: 'id',
  organization: 'organization_id',
  sorts: { created_at: { column: 'created_at', type: 'timestamptz' } },
  filters: { state: { column: 'state', choices: testClockStates } },
  times: { created_at: 'created_at' },
});

export const testClockStore = {
  clockList,
  addClock: async (
    db: Db,
    { name, now, metadata }: Pick<TestClock, 'name' | 'now' | 'metadata'>,
    createdAt: Date,
  ): Promise<TestClock> => {
    const { rows } = await db.query<TestClockRow>(
      `INSERT INTO test_clocks (id, organization_id, name, now_at, state, metadata, version, created_at, updated_at)
       VALUES ($1, $2, $3, $4, 'ready', $5, 1, $6, $6) RETURNING ${columns}`,
      [newId('clk'), db.organizationId, name, new Date(now), metadata, createdAt],
    );
    return fromRow(rows[0] as TestClockRow);
  },
  clock: async (db: Db, id: string, lock: '' | 'FOR UPDATE' = ''): Promise<TestClock | undefined> => {
    const { rows } = await db.query<TestClockRow>(
      `SELECT ${columns} FROM test_clocks WHERE organization_id = $1 AND id = $2 ${lock}`,
      [db.organizationId, id],
    );
    return rows[0] && fromRow(rows[0]);
  },
  /** Of one that is locked and ready. */
  setGoing: async (db: Db, id: string, target: Instant, now: Date): Promise<TestClock | undefined> => {
    const { rows } = await db.query<TestClockRow>(
      `UPDATE test_clocks SET state = 'advancing', target_at = $3, failure = NULL, version = version + 1,
         updated_at = $4 WHERE organization_id = $1 AND id = $2 RETURNING ${columns}`,
      [db.organizationId, id, new Date(target), now],
    );
    return rows[0] && fromRow(rows[0]);
  },
  clocks: async (db: Db, page: ListPage) => {
    const { rows, ...rest } = await listRows<TestClockRow>(db, clockList, db.organizationId, page);
    return { ...rest, rows: rows.map(fromRow) };
  },
};

export type TestClockStore = typeof testClockStore;
