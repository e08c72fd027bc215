/** The use case of putting a customer under another one: which other one is refused, and why. */
import type { Fault } from '#schemas/fault.ts';
import { customerLevelsMax as levelsMax } from '#schemas/http/customers.ts';
import type { Db } from '../route/define-route.ts';
import { refuseFaults } from '../route/resource-fields.ts';
import type { Parent, ParentStore } from './customer-parents.postgres.ts';
import type { Customer } from './customers.postgres.ts';

export type PlacePorts = { readonly parents: ParentStore };

/** What is to be of a customer. `id` is undefined of one that is made now, which has nothing below it. */
export type Placed = Pick<Customer, 'currency'> & { readonly id: string | undefined };

const fault = (field: string, code: string, message: string): Fault => ({ field, code, message });

const currencyFault = (field: string, own: string | null, others: string | null | undefined, whose: string) =>
  own !== null && others && own !== others
    ? [fault(field, 'not_allowed', `must be of the same currency: ${whose} ${others}, and the customer in ${own}`)]
    : [];

const placeFaults = async (
  { parents }: PlacePorts,
  db: Db,
  { id, currency }: Placed,
  parent: Parent | undefined,
): Promise<Fault[]> => {
  const field = 'parent_id';
  if (parent === undefined) return [fault(field, 'not_found', 'must be a customer of your organization')];
  if (id !== undefined && parent.line.includes(id))
    return [fault(field, 'not_allowed', 'must not be the customer itself or one that belongs to it')];
  const testClockId = id === undefined ? null : await parents.testClockOf(db, id);
  const below = id === undefined ? 0 : await parents.levelsBelow(db, id);
  return [
    ...(parent.isArchived ? [fault(field, 'not_allowed', 'must not be archived')] : []),
    ...(parent.line.length + 1 + below > levelsMax
      ? [fault(field, 'not_allowed', `must leave at most ${levelsMax} levels from the top one on`)]
      : []),
    ...(parent.testClockId === testClockId
      ? []
      : [fault(field, 'not_allowed', 'must live by the same test clock, or both by none')]),
    ...currencyFault(field, currency, parent.currency, 'this one pays in'),
  ];
};

/** The id of the parent that is asked for; refuses one that can't be. */
export const placeCustomer = async (ports: PlacePorts, db: Db, placed: Placed, name: string): Promise<string> => {
  const { parents } = ports;
  await parents.lockParents(db);
  const parent = await parents.parent(db, name);
  refuseFaults(await placeFaults(ports, db, placed, parent));
  return (parent as Parent).id;
};

/** Refuses a currency that is not the one of the customer's parent, or of one of its children. */
export const refuseOtherCurrency = async (
  { parents }: PlacePorts,
  db: Db,
  { id, parentId }: Pick<Customer, 'id' | 'parentId'>,
  currency: string,
): Promise<void> => {
  await parents.lockParents(db);
  const parent = parentId === null ? undefined : await parents.parent(db, parentId);
  const below = await parents.otherCurrencyBelow(db, id, currency);
  refuseFaults([
    ...currencyFault('currency', currency, parent?.currency, 'its parent pays in'),
    ...currencyFault('currency', currency, below, 'one of its children pays in'),
  ]);
};
