/**
 * Statements: who is billed for a customer. That is a customer itself, or, while it is consolidated and belongs to
 * another one, whoever stands above it. Customers of one tree live by one clock (`api/customers/place-customer.ts`);
 * the way up ends where they don't.
 */
import { customerLevelsMax as levelsMax } from '#schemas/http/customers.ts';

export type Payer = {
  readonly id: string;
  /** Whether all that falls due of the payer at one instant, in one currency, is one invoice. */
  readonly isConsolidated: boolean;
};

// Looked up one by one in their index, also where PostgreSQL takes a tree for smaller than it is: OFFSET 0 has it so.
// Read together, a parent with 2,000 children took seconds.
const lookUp = (name: string, condition: string): string =>
  `CROSS JOIN LATERAL (SELECT o.id, o.parent_id, o.invoicing, o.test_clock_id FROM customers o
    WHERE o.organization_id = $1 AND ${condition} OFFSET 0) ${name}`;

/** Whom a customer is billed with, and who is billed with it. */
const parentOf = (child: string): string =>
  lookUp(
    'parent',
    `o.id = ${child}.parent_id AND ${child}.invoicing = 'consolidated'
    AND o.test_clock_id IS NOT DISTINCT FROM ${child}.test_clock_id`,
  );
const childrenOf = (parent: string): string =>
  lookUp(
    'child',
    `o.parent_id = ${parent}.id AND o.invoicing = 'consolidated'
    AND o.test_clock_id IS NOT DISTINCT FROM ${parent}.test_clock_id`,
  );

/** `$2`: of which customers. */
export const selectPayers = `
WITH RECURSIVE line AS (
  SELECT c.id AS customer_id, c.invoicing = 'consolidated' AS consolidated, 1 AS level, c.id, c.parent_id, c.invoicing,
    c.test_clock_id
  FROM customers c WHERE c.organization_id = $1 AND c.id = ANY ($2)
  UNION ALL
  SELECT l.customer_id, l.consolidated, l.level + 1, parent.* FROM line l ${parentOf('l')} WHERE l.level < ${levelsMax}
)
SELECT DISTINCT ON (customer_id) customer_id, id AS payer_id, consolidated FROM line ORDER BY customer_id, level DESC`;

export type PayerRow = { customer_id: string; payer_id: string; consolidated: boolean };

const columnsOf = (customer: string): string =>
  `${customer}.id, ${customer}.parent_id, ${customer}.invoicing, ${customer}.test_clock_id`;

/**
 * `$2`: to which customers, which are among them. Of one that is billed to another itself, nobody else's is billed to
 * it.
 */
export const selectBilledTo = `
WITH RECURSIVE billed AS (
  SELECT ${columnsOf('c')} FROM customers c WHERE c.organization_id = $1 AND c.id = ANY ($2)
    AND NOT EXISTS (SELECT 1 FROM (SELECT ${columnsOf('c')}) self ${parentOf('self')})
  UNION
  SELECT child.* FROM billed b ${childrenOf('b')}
)
SELECT id FROM billed UNION SELECT unnest($2::text[])`;

/**
 * Queries for WITH RECURSIVE that end with `same_invoice`: the consolidated customers among those of `start`, a query
 * for ids, and all whose time may be on one invoice with theirs.
 */
export const onSameInvoice = (start: string): string => `
above AS (
  SELECT ${columnsOf('c')} FROM customers c
  WHERE c.organization_id = $1 AND c.invoicing = 'consolidated' AND c.id IN (${start})
  UNION
  SELECT parent.* FROM above a ${parentOf('a')}
), billed AS (
  SELECT * FROM above
  UNION
  SELECT child.* FROM billed b ${childrenOf('b')}
), same_invoice AS (
  SELECT id FROM billed WHERE invoicing = 'consolidated'
)`;
