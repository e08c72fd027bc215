/** What benches of rating stand on: customers with subscriptions that lie in the store. */
import type pg from 'pg';
import type { Stack } from '#platform/local/stack.ts';
import { call } from '../api/call.ts';

/** The meters that the plans of the benches charge by, of an event. */
export const makeMeters = async (stack: Stack, event: string): Promise<void> => {
  for (const [code, aggregation] of [
    ['requests', { aggregation: 'count' }],
    ['input_tokens', { aggregation: 'sum', property: 'input_tokens' }],
    ['output_tokens', { aggregation: 'sum', property: 'output_tokens' }],
  ] as const)
    await call(stack, 'POST', '/v1/meters', { code, name: code, event, ...aggregation });
};

/** Makes the one plan that a bench has, and says of which organization and version subscriptions to it are. */
export const makePlan = async (
  stack: Stack,
  owner: pg.Client,
  plan: object,
): Promise<{ readonly organizationId: string; readonly planVersionId: string }> => {
  await call(stack, 'POST', '/v1/plans', plan);
  const { rows } = await owner.query<{ organization_id: string; id: string }>(
    'SELECT organization_id, id FROM plan_versions',
  );
  return { organizationId: rows[0]?.organization_id ?? '', planVersionId: rows[0]?.id ?? '' };
};

const idOf = (prefix: string, number: string): string =>
  `'${prefix}_' || replace(uuidv7(interval '-1 day' + ${number} * interval '1 millisecond')::text, '-', '')`;

/** `customer-<first>` and on, written directly: it is not their making that is measured. */
export const storeCustomers = async (
  owner: pg.Client,
  organizationId: string,
  customers: number,
  first = 0,
): Promise<void> => {
  await owner.query(
    `INSERT INTO customers (id, organization_id, external_id, name, metadata, version, created_at, updated_at)
     SELECT ${idOf('cus', 'n')}, $1, 'customer-' || n, 'Customer ' || n, '{}', 1, now(), now()
     FROM generate_series($3::integer, $3 + $2::integer - 1) AS n`,
    [organizationId, customers, first],
  );
};

/** Customers with a subscription each, which falls due at the end of the month that it began with. */
export const subscribe = async (
  owner: pg.Client,
  organizationId: string,
  planVersionId: string,
  subscriptions: number,
  startedAt: Temporal.Instant,
): Promise<void> => {
  await storeCustomers(owner, organizationId, subscriptions);
  await owner.query(
    `INSERT INTO subscriptions
       (id, organization_id, customer_id, plan_version_id, currency, state, started_at, metadata, version, created_at,
        updated_at, next_due_at)
     SELECT ${idOf('sub', 'row_number() OVER ()')}, $1, id, $2, 'USD', 'active', $3, '{}', 1, now(), now(),
       $3::timestamptz + interval '1 month'
     FROM customers`,
    [organizationId, planVersionId, startedAt.toString()],
  );
  // What is empty stays unknown to the planner: it would read all of it, however much comes.
  await owner.query('ANALYZE customers, subscriptions');
};
