/**
 * The rows that hold the own keys of customers, as parts of statements that write customers: a key comes with what it
 * seals, and goes with it. All texts are ours.
 */

/** Of what is behind `from`. */
export const insertOwnKeys = (organization: string, customer: string, wrapped: string, from = ''): string =>
  `INSERT INTO customer_keys (organization_id, customer_id, wrapped)
   SELECT ${organization}, ${customer}, ${wrapped}${from && ` FROM ${from}`}`;

/** Nothing that the key sealed opens any more. */
export const deleteOwnKey = (organization: string, customer: string): string =>
  `DELETE FROM customer_keys WHERE organization_id = ${organization} AND customer_id = ${customer}`;
