/** Credit notes in PostgreSQL: what credits of an invoice go by, and the rows of one that is issued. */
import assert from 'node:assert/strict';
import { newId } from '#platform/process/ids.ts';
import type { Queryable } from '#platform/stores/postgres.ts';
import type { CreditNote, CreditNoteLine } from '#schemas/credit-note.ts';
import { sellerToJson } from '#schemas/invoice/content-parts.ts';
import { amountFromStored, formatAmount } from '#schemas/money.ts';
import type { CreditedLines, CreditedParts } from '../corrections/credit-lines.ts';
import { type GivenBackRow, givenBackFromRows, givenBackStatement } from '../corrections/credited-rows.ts';
import { genesisHash } from '../invoices/invoice-hash.ts';
import {
  type InvoiceLineRow,
  type InvoiceRow,
  invoiceColumns,
  invoiceFromRows,
  invoiceLineColumns,
} from '../invoices/invoice-rows.ts';
import {
  type Column,
  discountsColumn,
  insertStatement,
  taxesColumn,
  valuesOf,
} from '../invoices/issued-rows.postgres.ts';
import { entitiesOf } from '../invoices/issuing-entities.postgres.ts';
import { createNumbering } from '../invoices/numbering.postgres.ts';
import type { CreditedState } from './draw-up-credit.ts';
import type { CreditDb, IssueCreditPorts, LockedInvoice, NewCreditNote } from './issue-credit.ts';

type StateRow = {
  state: CreditedState['state'];
  amount_credited: string;
  amount_paid: string;
  language: string | null;
  time_zone: string;
  clock_now: Date | null;
};

const selectState = `SELECT s.state, s.amount_credited::text, s.amount_paid::text, c.language, c.time_zone,
    (SELECT k.now_at FROM test_clocks k WHERE k.id = c.test_clock_id) AS clock_now
  FROM invoice_states s JOIN customers c ON c.id = s.customer_id WHERE s.organization_id = $1 AND s.invoice_id = $2`;

// What was credited so far, summed: a line may have been credited in many parts.
const selectAmounts = `SELECT invoice_line, sum(amount)::text AS amount FROM credit_note_lines
  WHERE organization_id = $1 AND invoice_id = $2 GROUP BY invoice_line`;
const selectDiscounts = `SELECT l.invoice_line, d.place, sum((d.value ->> 'amount')::numeric)::text AS amount
  FROM credit_note_lines l CROSS JOIN json_array_elements(l.discounts) WITH ORDINALITY AS d (value, place)
  WHERE l.organization_id = $1 AND l.invoice_id = $2 GROUP BY l.invoice_line, d.place`;
const selectTaxes = `SELECT l.invoice_line, t.place, sum((t.value ->> 'amount')::numeric)::text AS amount,
    sum((t.value ->> 'taxable_amount')::numeric)::text AS taxable_amount
  FROM credit_note_lines l CROSS JOIN json_array_elements(l.taxes) WITH ORDINALITY AS t (value, place)
  WHERE l.organization_id = $1 AND l.invoice_id = $2 GROUP BY l.invoice_line, t.place`;

type AmountRow = { invoice_line: number; amount: string };
type DiscountRow = AmountRow & { place: bigint };
type TaxRow = DiscountRow & { taxable_amount: string };

/** In their places, from 1. */
const placed = <R extends { place: bigint }, T>(rows: readonly R[], of: (row: R) => T): T[] =>
  rows.toSorted((a, b) => Number(a.place - b.place)).map(of);

const readCredited = async (db: CreditDb, invoiceId: string): Promise<CreditedLines> => {
  const values = [db.organizationId, invoiceId];
  const { rows: amounts } = await db.query<AmountRow>(selectAmounts, values);
  if (amounts.length === 0) return new Map();
  const { rows: discounts } = await db.query<DiscountRow>(selectDiscounts, values);
  const { rows: taxes } = await db.query<TaxRow>(selectTaxes, values);
  const discountsOf = Map.groupBy(discounts, (row) => row.invoice_line);
  const taxesOf = Map.groupBy(taxes, (row) => row.invoice_line);
  return new Map(
    amounts.map(({ invoice_line: line, amount }): [number, CreditedParts] => [
      line,
      {
        amount: amountFromStored(amount),
        discounts: placed(discountsOf.get(line) ?? [], (row) => amountFromStored(row.amount)),
        taxes: placed(taxesOf.get(line) ?? [], (row) => {
          return { amount: amountFromStored(row.amount), taxableAmount: amountFromStored(row.taxable_amount) };
        }),
      },
    ]),
  );
};

/** What is credited needs no billing periods. */
const readInvoice = async (db: CreditDb, id: string) => {
  const { rows } = await db.query<InvoiceRow>(
    `SELECT ${invoiceColumns} FROM invoices WHERE organization_id = $1 AND id = $2`,
    [db.organizationId, id],
  );
  const [row] = rows;
  assert(row, `the invoice ${id} of a state is there`);
  const lines = await db.query<InvoiceLineRow>(
    `SELECT ${invoiceLineColumns} FROM invoice_lines WHERE invoice_id = $1 ORDER BY position`,
    [id],
  );
  return invoiceFromRows(row, [], lines.rows);
};

const readState = async (db: CreditDb, invoiceId: string, locking = ''): Promise<StateRow | undefined> =>
  (await db.query<StateRow>(`${selectState} ${locking}`, [db.organizationId, invoiceId])).rows[0];

/** Whether a delta below zero was billed of a period of the invoice, after what the invoice bills of it. */
const selectTakenBack = `SELECT EXISTS (
    SELECT 1 FROM billing_periods p JOIN billing_periods d ON d.corrects_id = coalesce(p.corrects_id, p.id)
        AND d.correction > coalesce(p.correction, 0) AND d.state = 'billed'
      JOIN invoice_lines l ON l.invoice_id = d.invoice_id AND l.billing_period_id = d.id
    WHERE p.organization_id = $1 AND p.invoice_id = $2 AND l.amount < coalesce((
      SELECT sum((o.value ->> 'amount')::numeric) FROM json_array_elements(l.discounts) AS o), 0)
  ) AS is_taken_back`;
const readTakenBack = async (db: CreditDb, invoiceId: string): Promise<boolean> =>
  (await db.query<{ is_taken_back: boolean }>(selectTakenBack, [db.organizationId, invoiceId])).rows[0]
    ?.is_taken_back === true;

const readGivenBack = async (db: CreditDb, invoiceId: string, credited: CreditedLines): Promise<CreditedLines> =>
  givenBackFromRows((await db.query<GivenBackRow>(givenBackStatement, [db.organizationId, invoiceId])).rows, credited);

const standingOf = async (
  db: CreditDb,
  invoiceId: string,
  row: StateRow,
): Promise<Omit<LockedInvoice, 'credited' | 'givenBack'>> => ({
  invoice: await readInvoice(db, invoiceId),
  state: {
    state: row.state,
    amountCredited: amountFromStored(row.amount_credited),
    amountPaid: amountFromStored(row.amount_paid),
  },
  isTakenBack: await readTakenBack(db, invoiceId),
  clockNow: row.clock_now?.getTime() ?? null,
  language: row.language,
  timeZone: row.time_zone,
});

const lockedFrom = async (db: CreditDb, invoiceId: string, row: StateRow): Promise<LockedInvoice> => {
  const credited = await readCredited(db, invoiceId);
  return {
    ...(await standingOf(db, invoiceId, row)),
    credited,
    givenBack: await readGivenBack(db, invoiceId, credited),
  };
};

const lockInvoice: IssueCreditPorts['lockInvoice'] = async (db, invoiceId) => {
  // In a statement of its own: those behind it see what whoever had the lock before has credited.
  const row = await readState(db, invoiceId, 'FOR UPDATE OF s');
  return row && lockedFrom(db, invoiceId, row);
};

/** Read again where somebody credited it between two of the statements. */
const looksMax = 10;

const lookAtInvoice: IssueCreditPorts['lookAtInvoice'] = async (db, invoiceId) => {
  for (let look = 1; ; look += 1) {
    const row = await readState(db, invoiceId);
    if (!row) return undefined;
    const invoice = await lockedFrom(db, invoiceId, row);
    const after = await readState(db, invoiceId);
    if (after?.amount_credited === row.amount_credited || look === looksMax) return invoice;
  }
};

const creditNumbering = createNumbering('credit_note_numbering');

const lockSeries: IssueCreditPorts['lockSeries'] = async (db) => {
  const { organizationId } = db;
  // The first one makes the row; two first ones wait for each other.
  await db.query(
    `INSERT INTO credit_note_series (organization_id, last_number, head_hash) VALUES ($1, 0, $2)
     ON CONFLICT DO NOTHING`,
    [organizationId, genesisHash],
  );
  const { rows } = await db.query<{ last_number: bigint; head_hash: string }>(
    'SELECT last_number, head_hash FROM credit_note_series WHERE organization_id = $1 FOR UPDATE',
    [organizationId],
  );
  const [series] = rows;
  assert(series, 'the series of an organization is there once it was made');
  return {
    head: { number: Number(series.last_number), hash: series.head_hash },
    numbering: await creditNumbering.read(db, organizationId),
  };
};

type NoteRow = CreditNote & NewCreditNote['beside'];

const noteColumns: readonly Column<NoteRow>[] = [
  ['id', 'text', ({ id }) => id],
  ['organization_id', 'text', ({ tenant }) => tenant],
  ['series_number', 'bigint', ({ number }) => number],
  ['content_version', 'integer', ({ contentVersion }) => contentVersion],
  ['document_number', 'text', ({ documentNumber }) => documentNumber],
  ['invoice_id', 'text', ({ invoice }) => invoice.id],
  ['customer_id', 'text', ({ customerId }) => customerId],
  ['currency', 'text', ({ currency }) => currency],
  ['reason', 'text', ({ reason }) => reason],
  ['memo', 'text', ({ memo }) => memo],
  ['settlement', 'text', ({ settlement }) => settlement],
  ['pre_payment_amount', 'numeric', ({ prePaymentAmount }) => formatAmount(prePaymentAmount)],
  ['post_payment_amount', 'numeric', ({ postPaymentAmount }) => formatAmount(postPaymentAmount)],
  ['issuing_entity_id', 'text', ({ issuingEntityId }) => issuingEntityId],
  ['seller', 'json', ({ seller }) => seller && JSON.stringify(sellerToJson(seller))],
  ['buyer_digest', 'text', ({ buyerDigest }) => buyerDigest],
  ['subtotal', 'numeric', ({ subtotal }) => formatAmount(subtotal)],
  ['discount_total', 'numeric', ({ discountTotal }) => formatAmount(discountTotal)],
  ['tax_total', 'numeric', ({ taxTotal }) => formatAmount(taxTotal)],
  ['total', 'numeric', ({ total }) => formatAmount(total)],
  ['issued_at', 'timestamptz', ({ issuedAt }) => issuedAt],
  ['previous_hash', 'text', ({ previousHash }) => previousHash],
  ['hash', 'text', ({ hash }) => hash],
  ['line_count', 'integer', ({ lines }) => lines.length],
  ['metadata', 'jsonb', ({ metadata }) => JSON.stringify(metadata)],
  ['language', 'text', ({ language }) => language],
  ['time_zone', 'text', ({ timeZone }) => timeZone],
  ['delta_id', 'text', ({ deltaId }) => deltaId],
  discountsColumn,
  taxesColumn,
];
const insertNote = insertStatement('credit_notes', noteColumns);

type LineRow = CreditNoteLine & Pick<CreditNote, 'currency' | 'id' | 'invoice' | 'tenant'>;

const lineColumns: readonly Column<LineRow>[] = [
  ['organization_id', 'text', ({ tenant }) => tenant],
  ['credit_note_id', 'text', ({ id }) => id],
  ['position', 'integer', ({ position }) => position],
  ['invoice_id', 'text', ({ invoice }) => invoice.id],
  ['invoice_line', 'integer', ({ invoiceLine }) => invoiceLine],
  ['amount', 'numeric', ({ amount }) => formatAmount(amount)],
  discountsColumn,
  taxesColumn,
];
const insertLines = insertStatement('credit_note_lines', lineColumns);

const writeState = async (db: CreditDb, { note, state }: NewCreditNote, now: Date): Promise<void> => {
  const { rowCount } = await db.query(
    `UPDATE invoice_states SET amount_credited = $3, state = $4, version = version + 1, updated_at = $5
     WHERE organization_id = $1 AND invoice_id = $2`,
    [db.organizationId, note.invoice.id, formatAmount(state.amountCredited), state.state, now],
  );
  assert.equal(rowCount, 1, 'the state of an issued invoice is there');
};

const writeCreditNote: IssueCreditPorts['writeCreditNote'] = async (db, issued, now) => {
  const { note, beside, numbering } = issued;
  await db.query(insertNote, valuesOf(noteColumns, [{ ...note, ...beside }]));
  const { id, tenant, invoice, currency } = note;
  const lines = note.lines.map((line) => ({ ...line, id, tenant, invoice, currency }));
  if (lines.length > 0) await db.query(insertLines, valuesOf(lineColumns, lines));
  await creditNumbering.write(db, db.organizationId, numbering);
  await db.query('UPDATE credit_note_series SET last_number = $2, head_hash = $3 WHERE organization_id = $1', [
    db.organizationId,
    note.number,
    note.hash,
  ]);
  await writeState(db, issued, now);
};

const issuingEntity = async (db: Queryable, id: string) => (await entitiesOf(db, [{ issuing_entity_id: id }])).get(id);

export const creditNoteIssuing: IssueCreditPorts = {
  lockInvoice,
  lookAtInvoice,
  lockSeries,
  issuingEntity,
  writeCreditNote,
  newCreditNoteId: () => newId('crn'),
};
