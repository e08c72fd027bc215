/** Test clocks that advance, as rows: each step is one transaction. */
import { recordChange } from '#platform/audit/record-change.ts';
import { newId } from '#platform/process/ids.ts';
import { carriedMax } from '#platform/stores/carried-max.ts';
import { notify } from '#platform/stores/notices.ts';
import type { Postgres, Queryable } from '#platform/stores/postgres.ts';
import { billingChannels, runAction } from '#schemas/billing-run.ts';
import type { AdvancingClock, ClockPorts, ClockStep } from './advance-clock.ts';

type ClockRow = {
  id: string;
  organization_id: string;
  now_at: Date;
  target_at: Date;
  grace_minutes: number;
  has_open_run: boolean;
  failure: string | null;
  next_due_at: Date | null;
};

const lockStatement = `SELECT 1 FROM test_clocks WHERE id = $1 AND state = 'advancing' FOR UPDATE`;

const clockStatement = `
SELECT k.id, k.organization_id, k.now_at, k.target_at, o.closing_grace_minutes AS grace_minutes,
  EXISTS (SELECT 1 FROM billing_runs r
    WHERE r.test_clock_id = k.id AND r.state IN ('queued', 'running')) AS has_open_run,
  (SELECT r.failure FROM billing_runs r
   WHERE r.test_clock_id = k.id AND r.asked_by = 'clock' AND r.state = 'failed' AND r.created_at >= k.updated_at
   ORDER BY r.due_until DESC, r.created_at DESC LIMIT 1) AS failure,
  least((SELECT s.clocked_due_at FROM subscriptions s WHERE s.test_clock_id = k.id AND s.clocked_due_at IS NOT NULL
     ORDER BY s.clocked_due_at LIMIT 1),
    (SELECT d.finalize_at FROM invoice_drafts d WHERE d.test_clock_id = k.id AND d.state = 'draft'
       AND d.finalize_at IS NOT NULL ORDER BY d.finalize_at LIMIT 1),
    (SELECT min(p.carried_from) + ${carriedMax} FROM billing_periods p JOIN customers c ON c.id = p.payer_id
     WHERE p.organization_id = k.organization_id AND p.carried_at IS NOT NULL
       AND c.test_clock_id = k.id)) AS next_due_at
FROM test_clocks k JOIN organizations o ON o.id = k.organization_id WHERE k.id = $1`;

const clockFromRow = (row: ClockRow): AdvancingClock => ({
  id: row.id,
  organizationId: row.organization_id,
  now: row.now_at.getTime(),
  target: row.target_at.getTime(),
  graceMs: row.grace_minutes * 60_000,
  hasOpenRun: row.has_open_run,
  failure: row.failure ?? undefined,
  nextDueAt: row.next_due_at?.getTime(),
});

const record = (client: Queryable, { organizationId }: AdvancingClock, change: object, now: Date): Promise<void> =>
  recordChange(
    { query: client.query, organizationId },
    { actor: 'scheduler', requestId: undefined, result: 'done' },
    [change as { action: string; objectType: string; objectId: string }],
    now.getTime(),
  );

const askForRun = async (client: Queryable, clock: AdvancingClock, dueUntil: number, arrearsUntil: number) => {
  const id = newId('run');
  const { rows } = await client.query<{ created_at: Date }>(
    `INSERT INTO billing_runs (id, organization_id, kind, asked_by, test_clock_id, due_until, arrears_until, state,
       created_at, updated_at)
     VALUES ($1, $2, 'billing', 'clock', $3, $4, $5, 'queued', clock_timestamp(), clock_timestamp())
     RETURNING created_at`,
    [id, clock.organizationId, clock.id, new Date(dueUntil), new Date(arrearsUntil)],
  );
  await client.query('UPDATE test_clocks SET now_at = $2 WHERE id = $1', [clock.id, new Date(dueUntil)]);
  const change = { action: runAction('billing', 'created'), objectType: 'billing_run', objectId: id };
  await record(client, clock, change, rows[0]?.created_at as Date);
  await notify(client, billingChannels.runQueued);
};

const rest = async (client: Queryable, clock: AdvancingClock, at: number, failure: string | null): Promise<void> => {
  const { rows } = await client.query<{ updated_at: Date }>(
    `UPDATE test_clocks SET state = 'ready', now_at = $2, target_at = NULL, failure = $3, version = version + 1,
       updated_at = clock_timestamp() WHERE id = $1 RETURNING updated_at`,
    [clock.id, new Date(at), failure],
  );
  const action = failure === null ? 'test_clock.advanced' : 'test_clock.stopped';
  await record(client, clock, { action, objectType: 'test_clock', objectId: clock.id }, rows[0]?.updated_at as Date);
};

const take = async (client: Queryable, clock: AdvancingClock, next: ClockStep): Promise<void> => {
  switch (next.step) {
    case 'wait':
      return;
    case 'stop':
      return rest(client, clock, clock.now, next.failure);
    case 'bill':
      return askForRun(client, clock, next.dueUntil, next.arrearsUntil);
    case 'arrive':
      return rest(client, clock, clock.target, null);
  }
};

// As many as there are sandboxes that are at work at one moment; those beyond it are found by the next look.
const waitingStatement = `
SELECT k.id FROM test_clocks k WHERE k.state = 'advancing' AND NOT EXISTS (
  SELECT 1 FROM billing_runs r WHERE r.test_clock_id = k.id AND r.state IN ('queued', 'running'))
ORDER BY k.updated_at LIMIT 1000`;

/** `beforeCommit` is called when all of a step is written. */
export const createTestClocks = (postgres: Postgres, beforeCommit: () => void = () => {}): ClockPorts => ({
  waiting: async () => {
    const { rows } = await postgres.query<{ id: string }>(waitingStatement, []);
    return rows.map(({ id }) => id);
  },
  step: (clockId, decide) =>
    postgres.transaction(async (client) => {
      const locked = await client.query(lockStatement, [clockId]);
      if (locked.rowCount === 0) return undefined;
      const { rows } = await client.query<ClockRow>(clockStatement, [clockId]);
      const clock = clockFromRow(rows[0] as ClockRow);
      const next = decide(clock);
      await take(client, clock, next);
      beforeCommit();
      return next.step;
    }),
});
