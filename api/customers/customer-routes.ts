/** `/v1/customers`. */

import { FailureError } from '#schemas/failures.ts';
import {
  CustomerId,
  CustomerPatch,
  CustomerPatchDocument,
  Customer as CustomerSchema,
  NewCustomer,
  NewCustomerDocument,
  patchedPersonal,
  personalOf,
  WrittenCustomer,
} from '#schemas/http/customers.ts';
import { formatInstant } from '#schemas/instant.ts';
import { languageFault, languageFromText } from '#schemas/language.ts';
import type { Instant } from '#schemas/period.ts';
import { timeZoneFault, timeZoneFromText } from '#schemas/time-zone.ts';
import { type IssuingEntityPorts, namedEntity } from '../issuing/issuing-entity-routes.ts';
import { taxIdFaults } from '../issuing/tax-ids.ts';
import type { Db, Routes } from '../route/define-route.ts';
import { listJson, listSchema } from '../route/lists.ts';
import { readMinimumAmounts } from '../route/minimum-amounts.ts';
import { created, found, headToJson, refuseFaults, refuseIdForm, updated } from '../route/resource-fields.ts';
import type { BillingNow } from './customer-names.postgres.ts';
import { customerTaxJson, defaultTax, readCustomerTax, type TaxPorts } from './customer-tax.ts';
import type { Customer, CustomerStore } from './customers.postgres.ts';
import { type PlacePorts, placeCustomer, refuseOtherCurrency } from './place-customer.ts';

export type CustomerPorts = PlacePorts &
  IssuingEntityPorts &
  TaxPorts & {
    readonly customers: CustomerStore;
    readonly usageNames: {
      /** The begin of the first day (UTC) of which there are events under the name, of whatever meter. */
      readonly firstDay: (organizationId: string, name: string) => Promise<Instant | undefined>;
    };
  };

export const customerJson = ({ personal, ...customer }: Customer) => ({
  id: customer.id,
  external_id: customer.externalId,
  aliases: customer.aliases,
  name: personal.name,
  email: personal.email ?? null,
  address: personal.address ?? null,
  tax_ids: personal.tax_ids ?? [],
  payment_reference: personal.payment_reference ?? null,
  currency: customer.currency,
  time_zone: customer.timeZone,
  language: customer.language,
  payment_terms: customer.paymentDays === null ? null : { days: customer.paymentDays },
  invoicing: customer.invoicing,
  issuing_entity_id: customer.issuingEntityId,
  invoice_defaults: customer.invoiceDefaults,
  minimum_invoice_amounts: customer.minimumAmounts,
  parent_id: customer.parentId,
  tax: customerTaxJson(customer.tax),
  archived_at: customer.archivedAt === undefined ? null : formatInstant(customer.archivedAt),
  erased_at: customer.erasedAt === undefined ? null : formatInstant(customer.erasedAt),
  ...headToJson(customer),
});

type Given = Pick<CustomerPatch, 'time_zone' | 'language' | 'payment_terms' | 'tax_ids'>;

/** What is given of a customer, as it is kept; undefined where it is left out. Refuses what is at fault. */
const readGiven = (given: Given) => {
  const { time_zone: zone, language: tag, payment_terms: terms } = given;
  const timeZone = zone === undefined ? undefined : timeZoneFromText(zone);
  const language = typeof tag === 'string' ? languageFromText(tag) : tag;
  refuseFaults([
    ...(zone !== undefined && timeZone === undefined ? [timeZoneFault('time_zone')] : []),
    ...(typeof tag === 'string' && language === undefined ? [languageFault('language')] : []),
    ...taxIdFaults(given.tax_ids ?? [], 'tax_ids'),
  ]);
  return { timeZone, language, paymentDays: terms === undefined ? undefined : (terms?.days ?? null) };
};

export const customerOf = async ({ customers }: CustomerPorts, db: Db, id: string, lock?: 'lock'): Promise<Customer> =>
  found(await customers.customer(db, id, lock), 'CUSTOMER_NOT_FOUND');

export const refuseErased = ({ erasedAt }: Customer): void => {
  if (erasedAt !== undefined) throw new FailureError('CUSTOMER_ERASED');
};

/** What was known of a name before the transaction began; `firstDay` is that of events which bear it already. */
type NameBefore = { readonly billing: BillingNow; readonly firstDay: Instant | undefined };

/** All names of a customer go into each statement over its usage. */
const aliasesMax = 50;
const refuseMoreNames = (): never => {
  const message = `is the name of one that had ${aliasesMax} others before, and has no more; give it one of these`;
  throw new FailureError('VALIDATION_FAILED', undefined, [{ field: 'external_id', code: 'out_of_range', message }]);
};

const refuseWhileBilling = (): never => {
  throw new FailureError('CUSTOMER_NAME_USED', 'A billing run is under way, or was a moment ago: try again');
};

/** Gives the customer the external id that is asked for. */
const renameCustomer = async (
  { customers }: CustomerPorts,
  db: Db,
  row: Customer,
  externalId: string,
  before: NameBefore,
  now: Date,
): Promise<void> => {
  if (externalId === row.externalId) return;
  await customers.lockNames(db);
  if (!row.aliases.includes(externalId)) {
    if (row.aliases.length >= aliasesMax) refuseMoreNames();
    const { billing, firstDay } = before;
    // What a run bills that was under way at any moment since was not all stored when the events were asked for.
    const { newest, isRunning } = await customers.billingNow(db);
    if (isRunning || billing.isRunning || newest !== billing.newest) refuseWhileBilling();
    if (firstDay !== undefined && (await customers.usageBilled(db, row.id, new Date(firstDay))))
      throw new FailureError('CUSTOMER_NAME_USED');
  }
  if (!(await customers.renameCustomer(db, row.id, externalId, now)))
    throw new FailureError('CUSTOMER_ALREADY_EXISTS', 'Another customer has this external_id, or had it before');
};

export const customerRoutes = ({ get, list, change, changeAfter }: Routes, ports: CustomerPorts): void => {
  const { customers } = ports;
  const tag = 'Customers';
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
    async ({ db, body, nowMs, lookAhead }) => {
      const { external_id: externalId, currency = null, parent_id: parent, metadata = {} } = body;
      refuseIdForm(externalId, 'external_id');
      const { timeZone = 'UTC', language = null, paymentDays = null } = readGiven(body);
      const parentId =
        parent === undefined ? null : await placeCustomer(ports, db, { id: undefined, currency }, parent);
      const tax = (await readCustomerTax(ports, db, body.tax)) ?? defaultTax;
      const { invoicing = 'per_subscription' } = body;
      const issuingEntityId = await namedEntity(ports, db, body.issuing_entity_id ?? null);
      const minimumAmounts = readMinimumAmounts(body.minimum_invoice_amounts ?? null);
      const printed = { invoicing, issuingEntityId, invoiceDefaults: body.invoice_defaults ?? null, minimumAmounts };
      const terms = { currency, timeZone, language, paymentDays, ...printed, parentId, tax, metadata };
      const customer = { externalId, personal: personalOf(body), ...terms };
      const row = found(
        await customers.addCustomer(db, customer, new Date(nowMs), (objectId) =>
          lookAhead({ objectType: 'customer', objectId }),
        ),
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
    async ({ db, params }) => customerJson(await customerOf(ports, db, params.id)),
  );

  changeAfter(
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
      documentedBody: CustomerPatchDocument,
      answers: { 200: WrittenCustomer },
      failures: ['CUSTOMER_NOT_FOUND', 'CUSTOMER_ERASED', 'CUSTOMER_ALREADY_EXISTS', 'CUSTOMER_NAME_USED'],
    },
    async ({ db, body: { external_id: externalId } }): Promise<NameBefore | undefined> => {
      if (externalId === undefined) return undefined;
      const billing = await customers.billingNow(db);
      return { billing, firstDay: await ports.usageNames.firstDay(db.organizationId, externalId) };
    },
    async ({ db, params, body, nowMs, matchVersion }, before) => {
      const row = await customerOf(ports, db, params.id, 'lock');
      if (body.external_id !== undefined && body.external_id !== row.externalId)
        refuseIdForm(body.external_id, 'external_id');
      matchVersion(row.version);
      refuseErased(row);
      const { currency = row.currency, metadata = row.metadata, invoicing = row.invoicing, parent_id: parent } = body;
      const { timeZone = row.timeZone, language = row.language, paymentDays = row.paymentDays } = readGiven(body);
      const parentId = parent ? await placeCustomer(ports, db, { id: row.id, currency }, parent) : parent;
      const placed = { id: row.id, parentId: parentId === undefined ? row.parentId : parentId };
      if (currency !== null && currency !== row.currency) await refuseOtherCurrency(ports, db, placed, currency);
      const tax = (await readCustomerTax(ports, db, body.tax)) ?? row.tax;
      const { issuing_entity_id: named, invoice_defaults: invoiceDefaults = row.invoiceDefaults } = body;
      const issuingEntityId = named === undefined ? row.issuingEntityId : await namedEntity(ports, db, named);
      const { minimum_invoice_amounts: minimums } = body;
      const minimumAmounts = minimums === undefined ? row.minimumAmounts : readMinimumAmounts(minimums);
      const printed = { invoicing, issuingEntityId, invoiceDefaults, minimumAmounts };
      const printedAndTaxed = { ...printed, tax };
      const terms = {
        currency,
        timeZone,
        language,
        paymentDays,
        ...printedAndTaxed,
        parentId: placed.parentId,
        metadata,
      };
      if (body.external_id !== undefined && before)
        await renameCustomer(ports, db, row, body.external_id, before, new Date(nowMs));
      const next = { personal: patchedPersonal(row.personal, body), ...terms, archivedAt: row.archivedAt };
      return updated(
        'customer',
        customerJson(row),
        customerJson(await customers.changeCustomer(db, row, next, new Date(nowMs))),
      );
    },
  );
};
