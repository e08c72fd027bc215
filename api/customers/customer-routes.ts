/** `/v1/customers`. */
import {
  Customer,
  type CustomerPatch,
  CustomerPatch as CustomerPatchBody,
  NewCustomer,
  NewCustomerDocument,
  type Personal,
  WrittenCustomer,
} from '#schemas/http/customers.ts';
import { IdParam } from '#schemas/http/fields.ts';
import { newNameFault } from '#schemas/names.ts';
import type { Db, Routes } from '../route/define-route.ts';
import { listJson, listSchema } from '../route/lists.ts';
import { created, found, refuseFaults, resourceJson, updated } from '../route/resource-fields.ts';
import type { AccountStore, CustomerRow } from './accounts.postgres.ts';

export type CustomerPorts = {
  readonly accounts: AccountStore;
};

export const customerJson = ({ personal, ...row }: CustomerRow) => ({
  id: row.id,
  external_id: row.external_id,
  name: personal.name,
  email: personal.email ?? null,
  address: personal.address ?? null,
  tax_ids: personal.tax_ids ?? [],
  payment_reference: personal.payment_reference ?? null,
  ...resourceJson(row),
});

/** What stays of a field that the patch leaves out, and what goes where it says null. */
const patched = (personal: Personal, { metadata: _metadata, ...patch }: CustomerPatch): Personal =>
  Object.fromEntries(Object.entries({ ...personal, ...patch }).filter(([, value]) => value !== null)) as Personal;

export const customerRoutes = ({ get, list, change }: Routes, { accounts }: CustomerPorts): void => {
  const tag = 'Customers';
  const customerOf = async (db: Db, id: string, lock?: 'lock'): Promise<CustomerRow> =>
    found(await accounts.customer(db, id, lock), 'CUSTOMER_NOT_FOUND');

  change(
    {
      method: 'POST',
      url: '/v1/customers',
      operation: 'createCustomer',
      tag,
      summary: 'Create a customer',
      scope: 'write:customers',
      rateClass: 'write',
      body: NewCustomer,
      documentedBody: NewCustomerDocument,
      answers: { 201: WrittenCustomer },
      failures: ['CUSTOMER_ALREADY_EXISTS'],
    },
    async ({ db, body, nowMs }) => {
      const { external_id: externalId, metadata = {}, ...personal } = body;
      refuseFaults([newNameFault(externalId, 'external_id')].filter((fault) => fault !== undefined));
      const row = found(
        await accounts.addCustomer(db, { externalId, personal, metadata }, new Date(nowMs)),
        'CUSTOMER_ALREADY_EXISTS',
      );
      return created('customer', '/v1/customers', customerJson(row));
    },
  );

  list(
    {
      url: '/v1/customers',
      operation: 'listCustomers',
      tag,
      summary: 'List customers',
      scope: 'read:customers',
      list: accounts.customerList,
      answers: { 200: listSchema(Customer) },
      failures: [],
    },
    async ({ db, query }) => listJson(query, await accounts.customers(db, query), customerJson),
  );

  get(
    {
      url: '/v1/customers/:id',
      operation: 'getCustomer',
      tag,
      summary: 'Read a customer by id or external id',
      scope: 'read:customers',
      params: IdParam,
      answers: { 200: Customer },
      failures: ['CUSTOMER_NOT_FOUND'],
    },
    async ({ db, params }) => customerJson(await customerOf(db, params.id)),
  );

  change(
    {
      method: 'PATCH',
      url: '/v1/customers/:id',
      operation: 'updateCustomer',
      tag,
      summary: 'Change a customer',
      scope: 'write:customers',
      rateClass: 'write',
      params: IdParam,
      body: CustomerPatchBody,
      answers: { 200: WrittenCustomer },
      failures: ['CUSTOMER_NOT_FOUND'],
    },
    async ({ db, params, body, nowMs, matchVersion }) => {
      const row = await customerOf(db, params.id, 'lock');
      matchVersion(row.version);
      const next = { personal: patched(row.personal, body), metadata: body.metadata ?? row.metadata };
      return updated(
        'customer',
        customerJson(row),
        customerJson(await accounts.changeCustomer(db, row.id, next, new Date(nowMs))),
      );
    },
  );
};
