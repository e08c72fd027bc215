/** `/v1/customers`. */

import { FailureError } from '#schemas/failures.ts';
import {
  CustomerId,
  CustomerPatch,
  Customer as CustomerSchema,
  NewCustomer,
  NewCustomerDocument,
  patchedPersonal,
  WrittenCustomer,
} from '#schemas/http/customers.ts';
import { formatInstant } from '#schemas/instant.ts';
import { timeZoneFault, timeZoneFromText } from '#schemas/time-zone.ts';
import type { Db, Done, Routes } from '../route/define-route.ts';
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
  archived_at: customer.archivedAt === undefined ? null : formatInstant(customer.archivedAt),
  erased_at: customer.erasedAt === undefined ? null : formatInstant(customer.erasedAt),
  ...headToJson(customer),
});

const timeZoneGiven = (text: string | undefined): string | undefined => {
  const timeZone = text === undefined ? undefined : timeZoneFromText(text);
  if (text !== undefined && timeZone === undefined) refuseFaults([timeZoneFault('time_zone')]);
  return timeZone;
};

type Deed = 'archived' | 'unarchived' | 'erased';

/** The answer to what was done to a customer beside a change of its fields. */
const done = (deed: Deed, before: Customer, after: Customer): Done => ({
  ...updated('customer', customerJson(before), customerJson(after), { action: `customer.${deed}` }),
  location: `/v1/customers/${after.id}`,
  ...(deed === 'erased' ? {} : { personalOf: after }),
});

export const customerRoutes = ({ get, list, change }: Routes, { customers }: CustomerPorts): void => {
  const tag = 'Customers';
  const customerOf = async (db: Db, id: string, lock?: 'lock'): Promise<Customer> =>
    found(await customers.customer(db, id, lock), 'CUSTOMER_NOT_FOUND');
  const refuseErased = ({ erasedAt }: Customer): void => {
    if (erasedAt !== undefined) throw new FailureError('CUSTOMER_ERASED');
  };
  /** The customer is locked, and whoever makes a subscription of it locks it first. */
  const refuseSubscribed = async (db: Db, { id }: Customer, nowMs: number): Promise<void> => {
    if (await customers.isSubscribed(db, id, new Date(nowMs))) throw new FailureError('CUSTOMER_IN_USE');
  };
  const written = {
    method: 'POST',
    tag,
    scope: 'write:customers',
    params: CustomerId,
    answers: { 200: WrittenCustomer },
  } as const;

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
      failures: ['CUSTOMER_ALREADY_EXISTS', 'CUSTOMER_ERASED'],
    },
    async ({ db, body, nowMs }) => {
      const { external_id: externalId, currency = null, time_zone: zone, metadata = {}, ...personal } = body;
      refuseIdForm(externalId, 'external_id');
      const timeZone = timeZoneGiven(zone) ?? 'UTC';
      const row = found(
        await customers.addCustomer(db, { externalId, personal, currency, timeZone, metadata }, new Date(nowMs)),
        'CUSTOMER_ALREADY_EXISTS',
      );
      return { ...created('customer', '/v1/customers', customerJson(row)), personalOf: row };
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
      failures: ['CUSTOMER_NOT_FOUND', 'CUSTOMER_ERASED'],
    },
    async ({ db, params, body, nowMs, matchVersion }) => {
      const row = await customerOf(db, params.id, 'lock');
      matchVersion(row.version);
      refuseErased(row);
      const { currency = row.currency, metadata = row.metadata } = body;
      const timeZone = timeZoneGiven(body.time_zone) ?? row.timeZone;
      const { archivedAt } = row;
      const next = { personal: patchedPersonal(row.personal, body), currency, timeZone, metadata, archivedAt };
      return updated(
        'customer',
        customerJson(row),
        customerJson(await customers.changeCustomer(db, row, next, new Date(nowMs))),
      );
    },
  );

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
      const row = await customerOf(db, params.id, 'lock');
      refuseErased(row);
      if (row.archivedAt !== undefined) throw new FailureError('CUSTOMER_ARCHIVED');
      await refuseSubscribed(db, row, nowMs);
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
      failures: ['CUSTOMER_NOT_FOUND', 'CUSTOMER_NOT_ARCHIVED', 'CUSTOMER_ERASED'],
    },
    async ({ db, params, nowMs }) => {
      const row = await customerOf(db, params.id, 'lock');
      refuseErased(row);
      if (row.archivedAt === undefined) throw new FailureError('CUSTOMER_NOT_ARCHIVED');
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
      const row = await customerOf(db, params.id, 'lock');
      refuseErased(row);
      await refuseSubscribed(db, row, nowMs);
      return done('erased', row, await customers.eraseCustomer(db, row.id, new Date(nowMs)));
    },
  );
};
