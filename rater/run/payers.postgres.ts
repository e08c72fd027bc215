/** Who is billed for a customer, and for whom a customer is, as the rater asks for it. */
import { textArray } from '#platform/stores/array-parameters.ts';
import type { Queryable } from '#platform/stores/postgres.ts';
import { type Payer, type PayerRow, selectBilledTo, selectPayers } from './payer-statements.ts';

/** By customer. */
export const payersOf = async (
  client: Queryable,
  organizationId: string,
  customerIds: Iterable<string>,
): Promise<ReadonlyMap<string, Payer>> => {
  const ids = [...new Set(customerIds)];
  if (ids.length === 0) return new Map();
  const { rows } = await client.query<PayerRow>(selectPayers, [organizationId, textArray(ids)]);
  return new Map(rows.map((row) => [row.customer_id, { id: row.payer_id, isConsolidated: row.consolidated }]));
};

/** The customer, and all that are billed to it. */
export const customersBilledTo = async (
  client: Queryable,
  organizationId: string,
  customerId: string,
): Promise<readonly string[]> => {
  const { rows } = await client.query<{ id: string }>(selectBilledTo, [organizationId, textArray([customerId])]);
  return rows.map(({ id }) => id);
};
