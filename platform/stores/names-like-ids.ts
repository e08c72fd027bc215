/**
 * Names from before a name could not have the form of an id (schemas/names.ts, migration 0012): what `npm run migrate`
 * and `npm run verify` say of them.
 */
import { idFormAbout } from '#schemas/names.ts';

export type NameLikeId = {
  readonly organization_id: string;
  readonly object: 'meter' | 'plan' | 'customer';
  readonly id: string;
  readonly name: string;
  /** The name is taken for the id that it looks like. */
  readonly is_hidden: boolean;
};

/** As the owner of the schema, who sees every organization. */
export const namesLikeIdsStatement = 'SELECT organization_id, object, id, name, is_hidden FROM names_like_ids()';

const cures: Readonly<Record<NameLikeId['object'], string>> = {
  meter: 'name it by its id; once no plan charges by it, end it and make it anew with another code',
  plan: 'name it by its id, and make the plan anew with another code for new subscriptions',
  customer: 'name it by its id, and send its events with its id as customer_id',
};
const fieldOf = (object: NameLikeId['object']): string => (object === 'customer' ? 'external_id' : 'code');

const effectOf = ({ object, is_hidden: isHidden }: NameLikeId): string => {
  if (!isHidden) return 'still names it, but could not be given today';
  return object === 'customer'
    ? 'does not name it: requests and events with it are of the customer with that id, or of nobody'
    : `does not name it: requests with it are of the ${object} with that id, or of none`;
};

/** One line for each; none where there is nothing to say. */
export const linesOfNamesLikeIds = (rows: readonly NameLikeId[]): string[] =>
  rows.map(
    (row) =>
      `WARNING: ${row.organization_id} ${row.object} ${row.id}: its ${fieldOf(row.object)} ${row.name} ` +
      `has ${idFormAbout} and ${effectOf(row)}; ${cures[row.object]}`,
  );
