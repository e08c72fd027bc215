/** The ledger of what subscriptions are billed for: rows of PostgreSQL as changes. */
import { newId } from '#platform/process/ids.ts';
import type { Instant } from '#schemas/period.ts';
import {
  type ChangeBilling,
  type PausedUsage,
  type SubscriptionChange,
  subscriptionChangeKinds,
} from '#schemas/subscription-terms.ts';
import type { Db } from '../route/define-route.ts';
import { listRows } from '../route/list-rows.postgres.ts';
import { defineList, type ListPage } from '../route/lists.ts';

/** A change as the ledger has it; what its kind does not have is null. */
export type LedgerChange = {
  readonly id: string;
  readonly kind: SubscriptionChange['kind'];
  readonly effectiveAt: Instant;
  readonly bills: ChangeBilling;
  readonly planId: string | null;
  readonly planCode: string | null;
  readonly planVersionId: string | null;
  readonly quantity: number | null;
  readonly usage: PausedUsage | null;
  readonly createdAt: Instant;
  readonly undoneAt: Instant | null;
};

type LedgerRow = {
  id: string;
  kind: SubscriptionChange['kind'];
  effective_at: Date;
  bills: ChangeBilling;
  plan_id: string | null;
  plan_code: string | null;
  plan_version_id: string | null;
  quantity: number | null;
  usage: PausedUsage | null;
  created_at: Date;
  undone_at: Date | null;
};

const fromRow = (row: LedgerRow): LedgerChange => ({
  id: row.id,
  kind: row.kind,
  effectiveAt: row.effective_at.getTime(),
  bills: row.bills,
  planId: row.plan_id,
  planCode: row.plan_code,
  planVersionId: row.plan_version_id,
  quantity: row.quantity,
  usage: row.usage,
  createdAt: row.created_at.getTime(),
  undoneAt: row.undone_at?.getTime() ?? null,
});

/** What `insertChanges` takes, as JSON. */
export const changeRows = (changes: readonly SubscriptionChange[]) =>
  changes.map((change) => ({
    id: newId('chg'),
    kind: change.kind,
    effective_at: new Date(change.effectiveAt),
    plan_version_id: 'planVersionId' in change ? change.planVersionId : null,
    quantity: 'quantity' in change ? change.quantity : null,
    interval_unit: change.kind === 'plan' ? change.interval.unit : null,
    interval_count: change.kind === 'plan' ? change.interval.count : null,
    usage: change.kind === 'pause' ? change.usage : null,
    bills: change.bills,
  }));

/** Of the organization $1, the subscription $2, at $3. */
export const insertChanges = `INSERT INTO subscription_changes (id, organization_id, subscription_id, kind,
    effective_at, plan_version_id, quantity, interval_unit, interval_count, usage, bills, created_at)
  SELECT r.id, $1, $2, r.kind, r.effective_at, r.plan_version_id, r.quantity, r.interval_unit, r.interval_count,
    r.usage, r.bills, $3
  FROM json_to_recordset($4) AS r (id text, kind text, effective_at timestamptz, plan_version_id text, quantity integer,
    interval_unit text, interval_count integer, usage text, bills text)`;

const ledger = defineList({
  name: 'subscription_changes',
  columns: `g.id, g.kind, g.effective_at, g.bills, v.plan_id, p.code AS plan_code, g.plan_version_id, g.quantity,
    g.usage, g.created_at, g.undone_at`,
  from: `subscription_changes g LEFT JOIN plan_versions v ON v.id = g.plan_version_id
    LEFT JOIN plans p ON p.id = v.plan_id`,
  countFrom: 'subscription_changes g',
  id: 'g.id',
  organization: 'g.organization_id',
  sorts: { effective_at: { column: 'g.effective_at', type: 'timestamptz' } },
  defaultSort: '-effective_at',
  filters: { kind: { column: 'g.kind', choices: subscriptionChangeKinds } },
  times: { effective_at: 'g.effective_at' },
});

/** What is done to the ledger of a subscription in one go, under the lock of its row. */
export type LedgerChanges = {
  readonly undone: readonly string[];
  readonly added: readonly SubscriptionChange[];
  /**
   * Of what holds at once: from when on, which may be some milliseconds ahead of the clock. Undefined of what lies
   * ahead.
   */
  readonly heldFrom?: Instant | undefined;
  /** Of an end of the trial that was to pause it, and does so no more. */
  readonly trialActivates?: boolean;
};

/** Of subscriptions `s`, as `cutUntil` says it. */
export const cutUntilColumn = `greatest(s.cut_until, (SELECT max(p.span_end) FROM billing_periods p
    WHERE p.subscription_id = s.id AND p.timing = 'arrears')) AS cut_until`;

export const subscriptionChangeStore = {
  ledger,
  /** Up to which instant its time is written down as what is billed, but for what is charged in advance. */
  cutUntil: async (db: Db, subscriptionId: string): Promise<Instant | undefined> => {
    const { rows } = await db.query<{ cut_until: Date | null }>(
      `SELECT ${cutUntilColumn} FROM subscriptions s WHERE s.organization_id = $1 AND s.id = $2`,
      [db.organizationId, subscriptionId],
    );
    return rows[0]?.cut_until?.getTime();
  },
  /** Whether the ledger of the subscription has it, undone or not. */
  isKnown: async (db: Db, subscriptionId: string, id: string): Promise<boolean> => {
    const { rowCount } = await db.query(
      'SELECT 1 FROM subscription_changes WHERE organization_id = $1 AND subscription_id = $2 AND id = $3',
      [db.organizationId, subscriptionId, id],
    );
    return Boolean(rowCount);
  },
  /**
   * The order of effects: what is taken back, what comes, and the version of the subscription, which is looked at anew
   * at the first of them for what is due.
   */
  changeLedger: async (
    db: Db,
    subscriptionId: string,
    { undone, added, trialActivates = false }: LedgerChanges,
    now: Date,
  ): Promise<void> => {
    if (undone.length > 0)
      await db.query(
        `UPDATE subscription_changes SET undone_at = $3
         WHERE organization_id = $1 AND subscription_id = $2 AND id = ANY ($4)`,
        [db.organizationId, subscriptionId, now, undone],
      );
    if (added.length > 0)
      await db.query(insertChanges, [db.organizationId, subscriptionId, now, JSON.stringify(changeRows(added))]);
    const first = added.length > 0 ? new Date(Math.min(...added.map(({ effectiveAt }) => effectiveAt))) : null;
    await db.query(
      `UPDATE subscriptions SET has_changes = true,
         next_due_at = CASE WHEN test_clock_id IS NULL THEN least(next_due_at, $3) END,
         clocked_due_at = CASE WHEN test_clock_id IS NOT NULL THEN least(clocked_due_at, $3) END, version = version + 1,
         trial_end_action = CASE WHEN $4 THEN 'activate' ELSE trial_end_action END, updated_at = $5
       WHERE organization_id = $1 AND id = $2`,
      [db.organizationId, subscriptionId, first, trialActivates, now],
    );
  },
  changes: async (db: Db, subscriptionId: string, page: ListPage) => {
    const { rows, ...rest } = await listRows<LedgerRow>(db, ledger, db.organizationId, page, {
      'g.subscription_id': subscriptionId,
    });
    return { ...rest, rows: rows.map(fromRow) };
  },
};

export type SubscriptionChangeStore = typeof subscriptionChangeStore;
