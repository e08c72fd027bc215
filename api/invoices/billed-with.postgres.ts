/** Whose time may be on an invoice of a customer, and who is billed for it, by the rater's own statements. */
import { type Payer, type PayerRow, selectBilledTo, selectPayers } from '../../rater/run/payer-statements.ts';
import type { Db } from '../route/define-route.ts';

export const billedWith = {
  /** By customer. */
  payersOf: async (db: Db, customerIds: readonly string[]): Promise<ReadonlyMap<string, Payer>> => {
    if (customerIds.length === 0) return new Map();
    const { rows } = await db.query<PayerRow>(selectPayers, [db.organizationId, customerIds]);
    return new Map(rows.map((row) => [row.customer_id, { id: row.payer_id, isConsolidated: row.consolidated }]));
  },
  /** The ids of subscriptions of the customer, and of those that are billed to it, of which something falls due. */
  billedSubscriptions: async (db: Db, customerId: string): Promise<readonly string[]> => {
    const { rows } = await db.query<{ id: string }>(
      `SELECT s.id FROM subscriptions s WHERE s.organization_id = $1 AND s.customer_id IN (${selectBilledTo})
         AND num_nonnulls(s.next_due_at, s.clocked_due_at) > 0 ORDER BY s.id`,
      [db.organizationId, [customerId]],
    );
    return rows.map(({ id }) => id);
  },
};

export type BilledWith = typeof billedWith;
