/** `/v1/customers`. */
import {
  CustomerId,
  CustomerPatch,
  Customer as CustomerSchema,
  NewCustomer,
  NewCustomerDocument,
  patchedPersonal,
  WrittenCustomer,
} from '#schemas/http/customers.ts';
import { timeZoneFault, timeZoneFromText } from '#schemas/time-zone.ts';
import type { Db, Routes } from '../route/define-route.ts';
import { listJson, listSchema } from '../route/lists.ts';
import { created, found, headToJson, refuseFaults, refuseIdForm, updated } from '../route/resource-fields.ts';
import type { Customer, CustomerStore } from './customers.postgres.ts';

export type CustomerPorts = {
  readonly customers: CustomerStore;
};

export const customerJson = ({ personal, ...customer }: Customer) => ({
  id: customer.id,
  external_id: customer.externalId,
  name: personal.name,
  email: personal.email ?? null,
  address: personal.address ?? null,
  tax_ids: personal.tax_ids ?? [],
  payment_reference: personal.payment_reference ?? null,
  currency: customer.currency,
  time_zone: customer.timeZone,
  ...headToJson(customer),
});

const timeZoneGiven = (text: string | undefined): string | undefined => {
  const timeZone = text === undefined ? undefined : timeZoneFromText(text);
  if (text !== undefined && timeZone === undefined) refuseFaults([timeZoneFault('time_zone')]);
  return timeZone;
};

export const customerRoutes = ({ get, list, change }: Routes, { customers }: CustomerPorts): void => {
  const tag = 'Customers';
  const customerOf = async (db: Db, id: string, lock?: 'lock'): Promise<Customer> =>
    found(await customers.customer(db, id, lock), 'CUSTOMER_NOT_FOUND');

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
      const { external_id: externalId, currency = null, time_zone: zone, metadata = {}, ...personal } = body;
      refuseIdForm(externalId, 'external_id');
      const timeZone = timeZoneGiven(zone) ?? 'UTC';
      const row = found(
        await customers.addCustomer(db, { externalId, personal, currency, timeZone, metadata }, new Date(nowMs)),
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
      list: customers.customerList,
      answers: { 200: listSchema(CustomerSchema) },
      failures: [],
    },
    async ({ db, query }) => listJson(query, await customers.customers(db, query), customerJson),
  );

  get(
    {
      url: '/v1/customers/:id',
      operation: 'getCustomer',
      tag,
      summary: 'Read a customer by id or external id',
      scope: 'read:customers',
      params: CustomerId,
      answers: { 200: CustomerSchema },
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
      params: CustomerId,
      body: CustomerPatch,
      answers: { 200: WrittenCustomer },
      failures: ['CUSTOMER_NOT_FOUND'],
    },
    async ({ db, params, body, nowMs, matchVersion }) => {
      const row = await customerOf(db, params.id, 'lock');
      matchVersion(row.version);
      const { currency = row.currency, metadata = row.metadata } = body;
      const timeZone = timeZoneGiven(body.time_zone) ?? row.timeZone;
      const next = { personal: patchedPersonal(row.personal, body), currency, timeZone, metadata };
      return updated(
        'customer',
        customerJson(row),
        customerJson(await customers.changeCustomer(db, row.id, next, new Date(nowMs))),
      );
    },
  );
};
