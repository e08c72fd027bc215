/** One-time charges of subscriptions: rows of PostgreSQL. */
import { newId } from '#platform/process/ids.ts';
import { type Amount, formatAmount, parseAmount } from '#schemas/money.ts';
import { type OneTimeChargeState, oneTimeChargeStates } from '#schemas/one-time-charge.ts';
import type { Instant } from '#schemas/period.ts';
import type { ChangeBilling } from '#schemas/subscription-terms.ts';
import type { Db } from '../route/define-route.ts';
import { listRows } from '../route/list-rows.postgres.ts';
import { defineList, type ListPage } from '../route/lists.ts';
import { headFromRow, type ResourceHead, type ResourceRow } from '../route/resource-fields.ts';

export type OneTimeCharge = ResourceHead & {
  readonly id: string;
  readonly subscriptionId: string;
  readonly currency: string;
  readonly name: string;
  readonly amount: Amount;
  /** Null as the quantity is, where the amount is not that of so many. */
  readonly unitAmount: Amount | null;
  readonly quantity: number | null;
  /** Which tax rates are for it. */
  readonly taxCategory: string | null;
  readonly effectiveAt: Instant;
  readonly bills: ChangeBilling;
  readonly state: OneTimeChargeState;
  /** Null until it is written down to be billed. */
  readonly billingPeriodId: string | null;
  readonly invoiceId: string | null;
  readonly removedAt: Instant | null;
};

export type NewOneTimeCharge = Pick<
  OneTimeCharge,
  | 'subscriptionId'
  | 'name'
  | 'amount'
  | 'unitAmount'
  | 'quantity'
  | 'taxCategory'
  | 'effectiveAt'
  | 'bills'
  | 'metadata'
>;

type ChargeRow = ResourceRow & {
  id: string;
  subscription_id: string;
  currency: string;
  name: string;
  amount: string;
  unit_amount: string | null;
  quantity: number | null;
  tax_category: string | null;
  effective_at: Date;
  bills: ChangeBilling;
  state: OneTimeChargeState;
  billing_period_id: string | null;
  invoice_id: string | null;
  removed_at: Date | null;
};

const stored = (text: string): Amount => parseAmount(text) as Amount;

const fromRow = (row: ChargeRow): OneTimeCharge => ({
  id: row.id,
  subscriptionId: row.subscription_id,
  currency: row.currency,
  name: row.name,
  amount: stored(row.amount),
  unitAmount: row.unit_amount === null ? null : stored(row.unit_amount),
  quantity: row.quantity,
  taxCategory: row.tax_category,
  effectiveAt: row.effective_at.getTime(),
  bills: row.bills,
  state: row.state,
  billingPeriodId: row.billing_period_id,
  invoiceId: row.invoice_id,
  removedAt: row.removed_at?.getTime() ?? null,
  ...headFromRow(row),
});

const stateColumn = `(CASE WHEN h.removed_at IS NOT NULL THEN 'removed'
  WHEN h.billing_period_id IS NULL THEN 'pending' ELSE 'billed' END)`;
const columns = `h.id, h.subscription_id, s.currency, h.name, h.amount, h.unit_amount, h.quantity, h.tax_category,
  h.effective_at, h.bills, ${stateColumn} AS state, h.billing_period_id, p.invoice_id, h.removed_at, h.metadata,
  h.version, h.created_at, h.updated_at`;
const from = `one_time_charges h JOIN subscriptions s ON s.id = h.subscription_id
  LEFT JOIN billing_periods p ON p.id = h.billing_period_id`;

const chargeList = defineList({
  name: 'one_time_charges',
  columns,
  from,
  countFrom: 'one_time_charges h',
  id: 'h.id',
  organization: 'h.organization_id',
  sorts: {
    created_at: { column: 'h.created_at', type: 'timestamptz' },
    effective_at: { column: 'h.effective_at', type: 'timestamptz' },
  },
  filters: { state: { column: stateColumn, choices: oneTimeChargeStates } },
  times: { created_at: 'h.created_at', effective_at: 'h.effective_at' },
});

const chargeOf = async (db: Db, subscriptionId: string, id: string): Promise<OneTimeCharge | undefined> => {
  const { rows } = await db.query<ChargeRow>(
    `SELECT ${columns} FROM ${from} WHERE h.organization_id = $1 AND h.subscription_id = $2 AND h.id = $3`,
    [db.organizationId, subscriptionId, id],
  );
  return rows[0] && fromRow(rows[0]);
};

export const oneTimeChargeStore = {
  chargeList,
  charges: async (db: Db, subscriptionId: string, page: ListPage) => {
    const { rows, ...rest } = await listRows<ChargeRow>(db, chargeList, db.organizationId, page, {
      'h.subscription_id': subscriptionId,
    });
    return { ...rest, rows: rows.map(fromRow) };
  },
  charge: chargeOf,
  /** Under the lock of the subscription, which is looked at when the charge may be due. */
  addCharge: async (db: Db, charge: NewOneTimeCharge, now: Date): Promise<OneTimeCharge | undefined> => {
    const { subscriptionId, name, amount, unitAmount, quantity, taxCategory, effectiveAt, bills, metadata } = charge;
    const id = newId('otc');
    await db.query(
      `INSERT INTO one_time_charges (id, organization_id, subscription_id, name, amount, unit_amount, quantity,
         effective_at, bills, metadata, version, created_at, updated_at, tax_category)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 1, $11, $11, $12)`,
      [
        id,
        db.organizationId,
        subscriptionId,
        name,
        formatAmount(amount),
        unitAmount === null ? null : formatAmount(unitAmount),
        quantity,
        new Date(effectiveAt),
        bills,
        metadata,
        now,
        taxCategory,
      ],
    );
    await db.query(
      `UPDATE subscriptions SET has_charges = true,
         next_due_at = CASE WHEN test_clock_id IS NULL THEN least(next_due_at, $3) END,
         clocked_due_at = CASE WHEN test_clock_id IS NOT NULL THEN least(clocked_due_at, $3) END
       WHERE organization_id = $1 AND id = $2`,
      [db.organizationId, subscriptionId, new Date(effectiveAt)],
    );
    return chargeOf(db, subscriptionId, id);
  },
  /** Under the lock of the subscription: nobody writes it down to be billed meanwhile. */
  removeCharge: async (db: Db, subscriptionId: string, id: string, now: Date): Promise<OneTimeCharge | undefined> => {
    await db.query(
      `UPDATE one_time_charges SET removed_at = $4, version = version + 1, updated_at = greatest(updated_at, $4)
       WHERE organization_id = $1 AND subscription_id = $2 AND id = $3`,
      [db.organizationId, subscriptionId, id, now],
    );
    return chargeOf(db, subscriptionId, id);
  },
};

export type OneTimeChargeStore = typeof oneTimeChargeStore;
