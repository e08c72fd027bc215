/** What is done to customers beside changes of their fields: archived, taken back, erased. */
import { FailureError } from '#schemas/failures.ts';
import { CustomerId, WrittenCustomer } from '#schemas/http/customers.ts';
import type { Db, Done, Routes } from '../route/define-route.ts';
import { updated } from '../route/resource-fields.ts';
import { type CustomerPorts, customerJson, customerOf, refuseErased } from './customer-routes.ts';
import type { Customer } from './customers.postgres.ts';

type Deed = 'archived' | 'unarchived' | 'erased';

/** The answer to what was done to a customer beside a change of its fields. */
const done = (deed: Deed, before: Customer, after: Customer): Done => ({
  ...updated('customer', customerJson(before), customerJson(after), { action: `customer.${deed}` }),
  location: `/v1/customers/${after.id}`,
  ...(deed === 'erased' ? {} : { personalOf: after }),
});

export const customerLifeRoutes = ({ change }: Routes, ports: CustomerPorts): void => {
  const { customers, parents } = ports;
  /**
   * The customer is locked, and whoever makes a subscription of it locks it first; who puts another one under it, takes
   * the lock of parents.
   */
  const refuseInUse = async (db: Db, { id }: Customer, nowMs: number): Promise<void> => {
    await parents.lockParents(db);
    if (await customers.isSubscribed(db, id, new Date(nowMs))) throw new FailureError('CUSTOMER_IN_USE');
    if (await parents.hasCurrentChild(db, id))
      throw new FailureError('CUSTOMER_IN_USE', 'A customer that is not archived belongs to it.');
  };
  const refuseArchivedParent = async (db: Db, { parentId }: Customer): Promise<void> => {
    if (parentId === null) return;
    await parents.lockParents(db);
    const parent = await parents.parent(db, parentId);
    if (parent?.isArchived) throw new FailureError('CUSTOMER_ARCHIVED', 'The customer that it belongs to is archived.');
  };
  const written = {
    method: 'POST',
    tag: 'Customers',
    scope: 'write:customers',
    params: CustomerId,
    answers: { 200: WrittenCustomer },
  } as const;

  change(
    {
      ...written,
      url: '/v1/customers/:id/archive',
      operation: 'archiveCustomer',
      summary: 'Archive a customer, so that it takes no new subscription',
      rateClass: 'write',
      failures: ['CUSTOMER_NOT_FOUND', 'CUSTOMER_ARCHIVED', 'CUSTOMER_IN_USE', 'CUSTOMER_ERASED'],
    },
    async ({ db, params, nowMs }) => {
      const row = await customerOf(ports, db, params.id, 'lock');
      refuseErased(row);
      if (row.archivedAt !== undefined) throw new FailureError('CUSTOMER_ARCHIVED');
      await refuseInUse(db, row, nowMs);
      const after = await customers.changeCustomer(db, row, { ...row, archivedAt: nowMs }, new Date(nowMs));
      return done('archived', row, after);
    },
  );

  change(
    {
      ...written,
      url: '/v1/customers/:id/unarchive',
      operation: 'unarchiveCustomer',
      summary: 'Take an archived customer back',
      rateClass: 'write',
      failures: ['CUSTOMER_NOT_FOUND', 'CUSTOMER_NOT_ARCHIVED', 'CUSTOMER_ARCHIVED', 'CUSTOMER_ERASED'],
    },
    async ({ db, params, nowMs }) => {
      const row = await customerOf(ports, db, params.id, 'lock');
      refuseErased(row);
      if (row.archivedAt === undefined) throw new FailureError('CUSTOMER_NOT_ARCHIVED');
      await refuseArchivedParent(db, row);
      const after = await customers.changeCustomer(db, row, { ...row, archivedAt: undefined }, new Date(nowMs));
      return done('unarchived', row, after);
    },
  );

  change(
    {
      ...written,
      url: '/v1/customers/:id/erase',
      operation: 'eraseCustomer',
      summary: 'Erase what is personal of a customer, for good; what was billed stays',
      rateClass: 'sensitive',
      failures: ['CUSTOMER_NOT_FOUND', 'CUSTOMER_IN_USE', 'CUSTOMER_ERASED'],
    },
    async ({ db, params, nowMs }) => {
      const row = await customerOf(ports, db, params.id, 'lock');
      refuseErased(row);
      await refuseInUse(db, row, nowMs);
      return done('erased', row, await customers.eraseCustomer(db, row.id, new Date(nowMs)));
    },
  );
};
