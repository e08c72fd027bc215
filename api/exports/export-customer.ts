/**
 * The use case of an export: all that is stored about a customer, as one JSON document in pieces, so that its size is
 * not held in memory. Lists are read page by page; only ids are remembered, by which the audit log is asked.
 */
import { type Caller, hasScope } from '#platform/access/authenticate.ts';
import { formatInstant } from '#schemas/instant.ts';
import type { IssuedInvoice } from '#schemas/invoice.ts';
import type { Instant } from '#schemas/period.ts';
import { hourOf } from '#schemas/subscription-state.ts';
import type { AuditLog } from '../access/audit-log.postgres.ts';
import { entryJson } from '../access/audit-log-routes.ts';
import { overrideJson } from '../catalog/price-override-routes.ts';
import type { PriceOverrideStore } from '../catalog/price-overrides.postgres.ts';
import { discountJson } from '../coupons/coupon-json.ts';
import type { DiscountStore } from '../coupons/discounts.postgres.ts';
import { creditNoteJson } from '../credits/credit-note-json.ts';
import type { CreditNoteReader } from '../credits/credit-notes.postgres.ts';
import type { CustomerDetailsStore, DetailsVersion } from '../customers/customer-details.postgres.ts';
import { customerJson } from '../customers/customer-routes.ts';
import type { Customer, CustomerStore } from '../customers/customers.postgres.ts';
import { contentJson, invoiceJson } from '../invoices/invoice-json.ts';
import type { InvoiceReader } from '../invoices/invoices.postgres.ts';
import { quoteJson } from '../quotes/quote-json.ts';
import type { QuoteStore } from '../quotes/quotes.postgres.ts';
import type { Db } from '../route/define-route.ts';
import type { List, ListPage, PageRows } from '../route/lists.ts';
import { oneTimeChargeJson } from '../subscriptions/one-time-charge-json.ts';
import type { OneTimeChargeStore } from '../subscriptions/one-time-charges.postgres.ts';
import { subscriptionJson } from '../subscriptions/subscription-json.ts';
import type { SubscriptionStore } from '../subscriptions/subscriptions.postgres.ts';
import type { ReadWatermark } from '../usage/watermark.postgres.ts';
import type { ExportedRows } from './exported-rows.postgres.ts';
import type { CountEvents } from './exported-usage.clickhouse.ts';

export type ExportPorts = {
  readonly customers: Pick<CustomerStore, 'customerList' | 'customers' | 'customer' | 'customerNames'>;
  readonly customerDetails: Pick<CustomerDetailsStore, 'detailsVersions'>;
  readonly subscriptions: Pick<SubscriptionStore, 'subscriptionList' | 'subscriptions'>;
  readonly oneTimeCharges: Pick<OneTimeChargeStore, 'chargeList' | 'charges'>;
  readonly discounts: Pick<DiscountStore, 'discountList' | 'discounts'>;
  readonly priceOverrides: Pick<PriceOverrideStore, 'overrideList' | 'overrides'>;
  readonly quotes: Pick<QuoteStore, 'quoteList' | 'quotes'>;
  readonly invoices: Pick<
    InvoiceReader,
    'invoiceList' | 'invoices' | 'invoice' | 'customerInvoiceList' | 'customerInvoices'
  >;
  readonly creditNotes: Pick<CreditNoteReader, 'creditNote' | 'creditNoteList' | 'creditNotes'>;
  readonly auditLog: AuditLog;
  readonly exportedRows: ExportedRows;
  readonly countEvents: CountEvents;
  readonly readWatermark: ReadWatermark;
};

const pageRows = '200';

/** The export goes on behind a row, and gives nobody a cursor. */
const noCursors = { sign: () => '', read: () => undefined };

async function* everyRow<R>(
  list: List,
  organizationId: string,
  filters: Readonly<Record<string, string>>,
  read: (page: ListPage) => Promise<PageRows<R>>,
): AsyncGenerator<R> {
  let page = list.read({ limit: pageRows, sort: 'created_at', ...filters }, organizationId, noCursors);
  for (;;) {
    const { rows, last } = await read(page);
    yield* rows;
    if (last === undefined) return;
    page = { ...page, after: last };
  }
}

type Section = { readonly scope: string; readonly items: () => AsyncGenerator<unknown> };

/** What of an invoice of another customer is of this one. */
const partJson = (invoice: IssuedInvoice, customerId: string) => {
  const { id: invoice_id, customer_id, number, issued_at, currency, periods, lines } = contentJson(invoice);
  const isOwn = (of: { readonly customer_id: string }): boolean => of.customer_id === customerId;
  return {
    customer_id,
    invoice_id,
    number,
    issued_at,
    currency,
    periods: periods.filter(isOwn),
    lines: lines.filter(isOwn),
  };
};

const detailsJson = ({ version, digest, salt, name, address, tax_ids, email, replacedAt }: DetailsVersion) => ({
  version,
  digest,
  salt,
  name,
  address,
  tax_ids,
  email,
  replaced_at: replacedAt === undefined ? null : formatInstant(replacedAt),
});

/** In this order: what is asked for later goes by what was found before. */
const sectionsOf = (
  ports: ExportPorts,
  db: Db,
  customer: Customer,
  nowMs: Instant,
): Readonly<Record<string, Section>> => {
  const { organizationId } = db;
  const { id } = customer;
  const subscriptionIds: string[] = [];
  const audited = [id];
  const subscriptionsOf = () =>
    everyRow(ports.subscriptions.subscriptionList, organizationId, { customer_id: id }, (page) =>
      ports.subscriptions.subscriptions(db, page),
    );
  return {
    details: {
      scope: 'read:customers',
      items: async function* () {
        for (const version of await ports.customerDetails.detailsVersions(db, customer)) yield detailsJson(version);
      },
    },
    children: {
      scope: 'read:customers',
      items: async function* () {
        const filters = { parent_id: id, archived: 'include' };
        for await (const child of everyRow(ports.customers.customerList, organizationId, filters, (page) =>
          ports.customers.customers(db, page),
        ))
          yield child.id;
      },
    },
    subscriptions: {
      scope: 'read:subscriptions',
      items: async function* () {
        for await (const subscription of subscriptionsOf()) {
          subscriptionIds.push(subscription.id);
          audited.push(subscription.id);
          yield subscriptionJson(subscription, hourOf(subscription, nowMs));
        }
      },
    },
    one_time_charges: {
      scope: 'read:subscriptions',
      items: async function* () {
        for (const subscriptionId of subscriptionIds)
          for await (const charge of everyRow(ports.oneTimeCharges.chargeList, organizationId, {}, (page) =>
            ports.oneTimeCharges.charges(db, subscriptionId, page),
          )) {
            audited.push(charge.id);
            yield oneTimeChargeJson(charge);
          }
      },
    },
    discounts: {
      scope: 'read:discounts',
      items: async function* () {
        const holder = { customerId: id, subscriptionId: null };
        for await (const discount of everyRow(ports.discounts.discountList, organizationId, {}, (page) =>
          ports.discounts.discounts(db, holder, page),
        )) {
          audited.push(discount.id);
          yield discountJson(discount, nowMs);
        }
      },
    },
    rated_lines: {
      scope: 'read:subscriptions',
      items: async function* () {
        for (const subscriptionId of subscriptionIds)
          for (const { chargeCode, lines } of await ports.exportedRows.ratedLines(db, subscriptionId))
            yield { subscription_id: subscriptionId, charge_code: chargeCode, lines: lines.toString() };
      },
    },
    price_overrides: {
      scope: 'read:price_overrides',
      items: async function* () {
        for await (const override of everyRow(
          ports.priceOverrides.overrideList,
          organizationId,
          { customer_id: id },
          (page) => ports.priceOverrides.overrides(db, page),
        )) {
          audited.push(override.id);
          yield overrideJson(override);
        }
      },
    },
    quotes: {
      scope: 'read:quotes',
      items: async function* () {
        for await (const quote of everyRow(ports.quotes.quoteList, organizationId, { customer_id: id }, (page) =>
          ports.quotes.quotes(db, page),
        )) {
          audited.push(quote.id);
          yield quoteJson(quote, nowMs);
        }
      },
    },
    invoices: {
      scope: 'read:invoices',
      items: async function* () {
        for await (const head of everyRow(ports.invoices.invoiceList, organizationId, { customer_id: id }, (page) =>
          ports.invoices.invoices(db, page, nowMs),
        )) {
          if (!('issued' in head)) continue;
          const { invoice: listed, state } = head.issued;
          const invoice = await ports.invoices.invoice(db, listed.id);
          if (invoice === undefined) continue;
          audited.push(invoice.id);
          yield invoiceJson({ invoice, state });
        }
      },
    },
    credit_notes: {
      scope: 'read:credit_notes',
      items: async function* () {
        for await (const { note } of everyRow(
          ports.creditNotes.creditNoteList,
          organizationId,
          { customer_id: id },
          (page) => ports.creditNotes.creditNotes(db, page),
        )) {
          const whole = await ports.creditNotes.creditNote(db, note.id);
          if (whole === undefined) continue;
          audited.push(note.id);
          yield creditNoteJson(whole);
        }
      },
    },
    billed_to: {
      scope: 'read:invoices',
      items: async function* () {
        for await (const head of everyRow(ports.invoices.customerInvoiceList, organizationId, {}, (page) =>
          ports.invoices.customerInvoices(db, id, page, nowMs),
        )) {
          if (!('issued' in head) || head.issued.invoice.customerId === id) continue;
          const invoice = await ports.invoices.invoice(db, head.issued.invoice.id);
          if (invoice !== undefined) yield partJson(invoice, id);
        }
      },
    },
    usage: {
      scope: 'read:usage',
      items: async function* () {
        const names = (await ports.customers.customerNames(db, id))?.names ?? [id];
        const months = await ports.countEvents(organizationId, names, await ports.readWatermark(db));
        for (const { month, event, events } of months) yield { month, event, events: events.toString() };
      },
    },
    audit_log: {
      scope: 'read:audit-log',
      items: async function* () {
        for (const objectId of audited)
          for await (const entry of everyRow(
            ports.auditLog.auditList,
            organizationId,
            { object_id: objectId },
            (page) => ports.auditLog.entries(db, page),
          ))
            yield entryJson(entry);
      },
    },
  };
};

/** A section that the key has no scope to read is missing, and named in `withheld`. */
export async function* exportCustomer(
  ports: ExportPorts,
  db: Db,
  customer: Customer,
  caller: Caller,
  nowMs: Instant,
): AsyncGenerator<string> {
  const sections = Object.entries(sectionsOf(ports, db, customer, nowMs));
  const told = sections.filter(([, { scope }]) => hasScope(caller, scope));
  const withheld = sections.filter(([, { scope }]) => !hasScope(caller, scope)).map(([name]) => name);
  const head = { exported_at: formatInstant(nowMs), withheld, customer: customerJson(customer) };
  yield JSON.stringify(head).slice(0, -1);
  for (const [name, { items }] of told) {
    yield `,"${name}":[`;
    let before = '';
    for await (const item of items()) {
      yield before + JSON.stringify(item);
      before = ',';
    }
    yield ']';
  }
  yield '}';
}
