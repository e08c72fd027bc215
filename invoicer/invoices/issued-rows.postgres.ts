/** Issued invoices -> rows, in one statement a table, however many they are. */
import { bigintArray, instantArray, integerArray, jsonArray, textArray } from '#platform/stores/array-parameters.ts';
import type { Queryable } from '#platform/stores/postgres.ts';
import {
  correctionToJson,
  discountToJson,
  fieldToJson,
  sellerToJson,
  taxToJson,
} from '#schemas/invoice/content-parts.ts';
import type { InvoiceDiscount, InvoiceLine, InvoiceTax, IssuedInvoice } from '#schemas/invoice.ts';
import { formatAmount, formatPreciseAmount } from '#schemas/money.ts';
import { formatQuantity } from '#schemas/quantity.ts';
import { priceStepToJson } from '#schemas/rated-line.ts';

/** Name, type and value of a column. Numerics are texts, and instants milliseconds since 1970. */
export type Column<T> =
  | readonly [name: string, type: 'text' | 'numeric' | 'json' | 'jsonb', of: (row: T) => string | null]
  | readonly [name: string, type: 'integer' | 'bigint' | 'timestamptz', of: (row: T) => number | null];

/** As which array a column is sent. */
const sentAs = {
  text: 'text[]',
  numeric: 'text[]::numeric[]',
  json: 'json[]',
  jsonb: 'json[]::jsonb[]',
  integer: 'integer[]',
  bigint: 'bigint[]',
  timestamptz: 'timestamptz[]',
} as const;

export const insertStatement = <T>(table: string, columns: readonly Column<T>[]): string =>
  `INSERT INTO ${table} (${columns.map(([name]) => name).join(', ')})
   SELECT * FROM unnest(${columns.map(([, type], index) => `$${index + 1}::${sentAs[type]}`).join(', ')})`;

const arrayOf = <T>(column: Column<T>, rows: readonly T[]): Buffer => {
  switch (column[1]) {
    case 'integer':
      return integerArray(rows.map(column[2]));
    case 'bigint':
      return bigintArray(rows.map(column[2]));
    case 'timestamptz':
      return instantArray(rows.map(column[2]));
    case 'json':
    case 'jsonb':
      return jsonArray(rows.map(column[2]));
    default:
      return textArray(rows.map(column[2]));
  }
};

export const valuesOf = <T>(columns: readonly Column<T>[], rows: readonly T[]): Buffer[] =>
  columns.map((column) => arrayOf(column, rows));

/** Most have none, and then it is null. */
const jsonUnlessEmpty = (values: readonly object[]): string | null =>
  values.length === 0 ? null : JSON.stringify(values);

type Discounted = Pick<IssuedInvoice, 'currency'> & {
  readonly discounts: readonly InvoiceDiscount[];
  readonly taxes: readonly InvoiceTax[];
};
export const discountsColumn: Column<Discounted> = [
  'discounts',
  'json',
  ({ discounts, currency }) => jsonUnlessEmpty(discounts.map((discount) => discountToJson(discount, currency))),
];
export const taxesColumn: Column<Discounted> = [
  'taxes',
  'json',
  ({ taxes, currency }) => jsonUnlessEmpty(taxes.map((tax) => taxToJson(tax, currency))),
];

const invoiceColumns: readonly Column<IssuedInvoice & { readonly runId: string }>[] = [
  ['id', 'text', ({ id }) => id],
  ['organization_id', 'text', ({ tenant }) => tenant],
  ['series_number', 'bigint', ({ number }) => number],
  ['kind', 'text', ({ kind }) => kind],
  ['content_version', 'integer', ({ contentVersion }) => contentVersion],
  ['customer_id', 'text', ({ customerId }) => customerId],
  ['run_id', 'text', ({ runId }) => runId],
  ['currency', 'text', ({ currency }) => currency],
  ['subtotal', 'numeric', ({ subtotal }) => formatAmount(subtotal)],
  ['discount_total', 'numeric', ({ discountTotal }) => formatAmount(discountTotal)],
  ['tax_total', 'numeric', ({ taxTotal }) => formatAmount(taxTotal)],
  ['total', 'numeric', ({ total }) => formatAmount(total)],
  ['issued_at', 'timestamptz', ({ issuedAt }) => issuedAt],
  ['previous_hash', 'text', ({ previousHash }) => previousHash],
  ['hash', 'text', ({ hash }) => hash],
  ['document_number', 'text', ({ documentNumber }) => documentNumber],
  ['issuing_entity_id', 'text', ({ issuingEntityId }) => issuingEntityId],
  ['seller', 'json', ({ seller }) => seller && JSON.stringify(sellerToJson(seller))],
  ['buyer_digest', 'text', ({ buyerDigest }) => buyerDigest],
  ['due_at', 'timestamptz', ({ dueAt }) => dueAt],
  ['payment_days', 'integer', ({ paymentDays }) => paymentDays],
  ['purchase_order', 'text', ({ purchaseOrder }) => purchaseOrder],
  ['memo', 'text', ({ memo }) => memo],
  ['custom_fields', 'json', ({ customFields }) => jsonUnlessEmpty(customFields.map(fieldToJson))],
  discountsColumn,
  taxesColumn,
];

type Line = InvoiceLine & Pick<IssuedInvoice, 'currency'> & { readonly invoiceId: string };

const lineColumns: readonly Column<Line>[] = [
  ['invoice_id', 'text', ({ invoiceId }) => invoiceId],
  ['billing_period_id', 'text', ({ billingPeriodId }) => billingPeriodId],
  ['position', 'integer', ({ position }) => position],
  ['kind', 'text', ({ kind }) => kind],
  ['charge_code', 'text', ({ chargeCode }) => chargeCode],
  ['description', 'text', ({ description }) => description],
  ['meter', 'text', ({ meter }) => meter],
  ['quantity', 'numeric', ({ quantity }) => formatQuantity(quantity)],
  ['rounding', 'text', ({ rounding }) => rounding],
  ['precise_amount', 'numeric', ({ precise }) => formatPreciseAmount(precise)],
  ['unit_amount', 'numeric', ({ unitAmount }) => (unitAmount === null ? null : formatAmount(unitAmount))],
  ['amount', 'numeric', ({ amount }) => formatAmount(amount)],
  discountsColumn,
  taxesColumn,
  ['steps', 'json', ({ steps }) => JSON.stringify(steps.map(priceStepToJson))],
  ['period_start', 'timestamptz', ({ servicePeriod }) => servicePeriod.start],
  ['period_end', 'timestamptz', ({ servicePeriod }) => servicePeriod.end],
  [
    'corrects',
    'json',
    ({ corrects, currency }) => (corrects ? JSON.stringify(correctionToJson(corrects, currency)) : null),
  ],
  ['tax_category', 'text', ({ taxCategory = null }) => taxCategory],
];

const insertInvoices = insertStatement('invoices', invoiceColumns);
const insertLines = insertStatement('invoice_lines', lineColumns);

/** With what a document takes from the customer as it stands. */
const queueDocuments = `INSERT INTO invoice_documents
    (organization_id, invoice_id, customer_id, state, language, time_zone)
  SELECT c.organization_id, n.id, n.customer_id, 'queued', c.language, c.time_zone
  FROM unnest($1::text[], $2::text[]) AS n (id, customer_id) CROSS JOIN LATERAL (
    SELECT c.organization_id, c.language, c.time_zone FROM customers c WHERE c.id = n.customer_id OFFSET 0
  ) c`;

/**
 * The invoices with their lines, and the jobs of their documents: all of them go to PostgreSQL together, and each of
 * the statements needs those before it.
 */
export const writeInvoices = async (
  client: Queryable,
  runId: string,
  invoices: readonly IssuedInvoice[],
): Promise<void> => {
  const issued = invoices.map((invoice) => ({ ...invoice, runId }));
  const lines = invoices.flatMap(({ id: invoiceId, currency, lines: own }) =>
    own.map((line) => ({ ...line, currency, invoiceId })),
  );
  const documents = [textArray(invoices.map(({ id }) => id)), textArray(invoices.map(({ customerId }) => customerId))];
  await Promise.all([
    client.query(insertInvoices, valuesOf(invoiceColumns, issued)),
    client.query(insertLines, valuesOf(lineColumns, lines)),
    client.query(queueDocuments, documents),
  ]);
};
