/** SQL of what customers are called by: ids, and the external ids that they have or had. All texts are ours. */
import { isId } from '#schemas/ids.ts';

/** Of the row `c` of a customer: its external ids, in the order in which it was given them. */
export const externalIdsOf = (c: string, until?: string): string => `coalesce(nullif(ARRAY(
    SELECT a.name FROM customer_aliases a WHERE a.organization_id = ${c}.organization_id AND a.customer_id = ${c}.id
      ${until === undefined ? '' : `AND a.number <= ${until}`} ORDER BY a.number), '{}'), ARRAY[${c}.external_id])`;

/** The id of who has the external id, or had it; `name` and `organization` are the SQL of these. */
export const customerIdOf = (name: string, organization = '$1'): string => `coalesce(
    (SELECT n.id FROM customers n WHERE n.organization_id = ${organization} AND n.external_id = ${name}),
    (SELECT n.customer_id FROM customer_aliases n WHERE n.organization_id = ${organization} AND n.name = ${name}))`;

/** The id of the customer that the text of a parameter stands for: an id by its form, any other text is a name. */
export const customerNamed = (text: string, parameter: string): string =>
  isId('cus', text) ? parameter : customerIdOf(parameter);

/** The ids of who is called by one of the names: `$2` are ids, `$3` external ids that they have or had. */
export const selectIdsNamed = `
    SELECT id FROM customers WHERE organization_id = $1 AND id = ANY ($2)
    UNION SELECT id FROM customers WHERE organization_id = $1 AND external_id = ANY ($3)
    UNION SELECT customer_id FROM customer_aliases WHERE organization_id = $1 AND name = ANY ($3)`;

/**
 * Takes the lock of an organization's names, until the transaction ends: alone to rename, shared to begin to bill,
 * which goes by the names that there are.
 */
export const lockNamesOf = (organization: string, mode: 'alone' | 'shared' = 'alone'): string =>
  `SELECT pg_advisory_xact_lock${mode === 'shared' ? '_shared' : ''}(
    hashtextextended('names of customers ' || ${organization}, 0))`;
