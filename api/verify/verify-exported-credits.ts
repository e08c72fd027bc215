/**
 * Credit notes as the API answers them -> whether they are as they were issued, from that JSON alone; and, where the
 * invoices stand beside them, whether they credit no more than these charged. Pure.
 */
import { type CreditNoteVersion, creditNoteVersions } from '#schemas/credit-note.ts';
import { type Amount, addAmounts, subtractAmounts, zeroAmount } from '#schemas/money.ts';
import { canonicalCreditContent } from '../../invoicer/credits/credit-note-hash.ts';
import { chainHash } from '../../invoicer/invoices/invoice-hash.ts';
import {
  amountOf,
  type ExportedChain,
  isCreditNote,
  isObject,
  type Json,
  objectsOf,
  picked,
  pickedFromEach,
  sumOf,
  verifyTenant,
} from './verify-exported.ts';

/** What of an answer is hashed, by content version. */
const hashedMembers: Readonly<Record<CreditNoteVersion, { readonly note: string[]; readonly lines: string[] }>> = {
  1: {
    note: [
      'id',
      'tenant',
      'number',
      'document_number',
      'issued_at',
      'invoice_id',
      'invoice_number',
      'invoice_document_number',
      'invoice_hash',
      'customer_id',
      'currency',
      'reason',
      'memo',
      'settlement',
      'pre_payment_amount',
      'post_payment_amount',
      'issuing_entity_id',
      'seller',
      'buyer_digest',
      'lines',
      'subtotal',
      'discounts',
      'discount_total',
      'taxes',
      'tax_total',
      'total',
    ],
    lines: [
      'position',
      'invoice_line',
      'billing_period_id',
      'charge_code',
      'description',
      'service_period',
      'amount',
      'discounts',
      'taxes',
    ],
  },
};

const hashOf = (note: Json): string | undefined => {
  const version = creditNoteVersions.find((one) => one === note.content_version);
  if (version === undefined || typeof note.previous_hash !== 'string' || !Array.isArray(note.lines)) return undefined;
  const members = hashedMembers[version];
  const content = picked(note, members.note);
  const whole = { ...content, lines: pickedFromEach(content.lines, members.lines) };
  try {
    return chainHash(note.previous_hash, canonicalCreditContent(version, whole));
  } catch {
    return undefined;
  }
};

/** [I19] of an answer. */
const sumsUp = (note: Json): boolean => {
  const [subtotal, total, discounts, taxes, pre, post] = [
    note.subtotal,
    note.total,
    note.discount_total,
    note.tax_total,
    note.pre_payment_amount,
    note.post_payment_amount,
  ].map(amountOf);
  if (subtotal === undefined || discounts === undefined || taxes === undefined) return false;
  return (
    sumOf(note.lines) === subtotal &&
    sumOf(note.discounts) === discounts &&
    sumOf(note.taxes, ({ inclusive }) => inclusive === false) === taxes &&
    addAmounts(subtractAmounts(subtotal, discounts), taxes) === total &&
    addAmounts(pre ?? zeroAmount, post ?? zeroAmount) === total
  );
};

const linesOf = ({ lines }: Json): readonly Json[] => (Array.isArray(lines) ? lines.filter(isObject) : []);

/** What was credited so far, by invoice, and by line of it. */
type Credited = Map<string, Amount>;

const add = (credited: Credited, key: string, amount: unknown): Amount => {
  const sum = addAmounts(credited.get(key) ?? zeroAmount, amountOf(amount) ?? zeroAmount);
  credited.set(key, sum);
  return sum;
};

const isWithin = (amount: Amount, most: Amount): boolean =>
  most < 0n ? amount >= most && amount <= 0n : amount <= most && amount >= 0n;

/** Faults against the invoice, which may not be there; `credited` grows by what the credit note credits. */
const invoiceFaults = (note: Json, invoice: Json | undefined, credited: Credited): readonly string[] => {
  if (invoice === undefined) return [];
  const id = String(note.invoice_id);
  const amounts = new Map(linesOf(invoice).map((line) => [line.position, amountOf(line.amount) ?? zeroAmount]));
  const isLineBeyond = linesOf(note)
    .map((line) => {
      const most = amounts.get(line.invoice_line);
      return most === undefined || !isWithin(add(credited, `${id} ${line.invoice_line}`, line.amount), most);
    })
    .includes(true);
  const isBeyond = !isWithin(add(credited, id, note.total), amountOf(invoice.total) ?? zeroAmount);
  return [
    ...(invoice.hash === note.invoice_hash ? [] : ['invoice_differs']),
    ...(isLineBeyond ? ['line_credited_beyond_amount'] : []),
    ...(isBeyond ? ['credited_beyond_total'] : []),
  ];
};

/** Of NDJSON in any order, in which invoices may stand too. Throws where a line is no JSON object. */
export const verifyExportedCredits = (ndjson: string): ExportedChain[] => {
  const exported = objectsOf(ndjson);
  const invoices = new Map(exported.filter((one) => !isCreditNote(one)).map((invoice) => [invoice.id, invoice]));
  const byTenant = Map.groupBy(exported.filter(isCreditNote), ({ tenant }) => String(tenant));
  return [...byTenant].map(([tenant, own]) => {
    const credited: Credited = new Map();
    const sumFaults = (note: Json): readonly string[] => [
      ...(sumsUp(note) ? [] : ['total_is_no_sum']),
      ...invoiceFaults(note, invoices.get(note.invoice_id), credited),
    ];
    return verifyTenant(tenant, own, { hashOf, sumFaults });
  });
};
