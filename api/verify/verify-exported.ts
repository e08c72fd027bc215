/**
 * Invoices as the API answers them -> whether they are as they were issued, from that JSON alone: their hashes, the
 * chain that these make, and their sums. Pure: whoever has an export can check it with neither the stores nor the API.
 */
import { type ContentVersion, contentVersions } from '#schemas/invoice.ts';
import { type Amount, addAmounts, parseStoredAmount, subtractAmounts, zeroAmount } from '#schemas/money.ts';
import { ChainFault, canonicalContent, chainHash, genesisHash } from '../../invoicer/invoices/invoice-hash.ts';

export type Json = Readonly<Record<string, unknown>>;

const lineOfVersion1 = [
  'position',
  'charge_code',
  'description',
  'meter',
  'quantity',
  'rounding',
  'precise_amount',
  'amount',
  'steps',
  'service_period',
];
const periodOfVersion2 = ['billing_period_id', 'subscription_id', 'plan_version_id', 'start', 'end', 'watermark'];
const periodOfVersion4 = [...periodOfVersion2, 'customer_id', 'corrects_billing_period_id', 'carried_over_from'];
const lineOfVersion4 = [
  'billing_period_id',
  'customer_id',
  ...lineOfVersion1,
  'kind',
  'unit_amount',
  'discounts',
  'taxes',
  'corrects',
];
const always = ['id', 'tenant', 'number', 'issued_at', 'kind', 'customer_id', 'currency', 'lines', 'subtotal', 'total'];
const later = [
  'document_number',
  'issuing_entity_id',
  'seller',
  'buyer_digest',
  'due_at',
  'payment_terms',
  'purchase_order',
  'memo',
  'custom_fields',
  'discounts',
  'taxes',
  'discount_total',
  'tax_total',
];

/** What of an answer is hashed, by content version. */
const hashedMembers: Readonly<
  Record<ContentVersion, { readonly invoice: string[]; readonly periods: string[]; readonly lines: string[] }>
> = {
  1: {
    invoice: [...always, 'watermark', 'subscription_id', 'plan_version_id', 'period'],
    periods: [],
    lines: lineOfVersion1,
  },
  2: { invoice: [...always, 'periods'], periods: periodOfVersion2, lines: ['billing_period_id', ...lineOfVersion1] },
  3: {
    invoice: [...always, 'periods'],
    periods: [...periodOfVersion2, 'customer_id'],
    lines: ['billing_period_id', 'customer_id', ...lineOfVersion1],
  },
  4: { invoice: [...always, 'periods', ...later], periods: periodOfVersion4, lines: lineOfVersion4 },
  5: {
    invoice: [...always, 'periods', ...later],
    periods: periodOfVersion4,
    lines: [...lineOfVersion4, 'tax_category'],
  },
};

export const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

export const picked = (from: Json, names: readonly string[]): Json =>
  Object.fromEntries(names.flatMap((name) => (Object.hasOwn(from, name) ? [[name, from[name]]] : [])));

export const pickedFromEach = (value: unknown, names: readonly string[]): unknown =>
  Array.isArray(value) ? value.map((one) => (isObject(one) ? picked(one, names) : one)) : value;

const versionOf = (invoice: Json): ContentVersion | undefined =>
  contentVersions.find((version) => version === invoice.content_version);

/** The hash that an answer must have. Undefined where it is no invoice that can be hashed. */
const hashOf = (invoice: Json): string | undefined => {
  const version = versionOf(invoice);
  if (version === undefined || typeof invoice.previous_hash !== 'string' || !Array.isArray(invoice.lines))
    return undefined;
  const members = hashedMembers[version];
  const content = picked(invoice, members.invoice);
  const whole = {
    ...content,
    lines: pickedFromEach(content.lines, members.lines),
    ...(content.periods === undefined ? {} : { periods: pickedFromEach(content.periods, members.periods) }),
  };
  try {
    return chainHash(invoice.previous_hash, canonicalContent(version, whole));
  } catch {
    return undefined;
  }
};

/** Undefined where one of them is no amount. */
export const sumOf = (items: unknown, isAdded: (item: Json) => boolean = () => true): Amount | undefined => {
  if (!Array.isArray(items)) return undefined;
  let sum = zeroAmount;
  for (const item of items) {
    const amount = isObject(item) ? amountOf(item.amount) : undefined;
    if (amount === undefined) return undefined;
    if (isAdded(item as Json)) sum = addAmounts(sum, amount);
  }
  return sum;
};
export const amountOf = (text: unknown): Amount | undefined =>
  typeof text === 'string' ? parseStoredAmount(text) : undefined;

/** [I19] of an answer; versions before 4 have neither discounts nor taxes. */
const sumsUp = (invoice: Json): boolean => {
  const [subtotal, total] = [amountOf(invoice.subtotal), amountOf(invoice.total)];
  if (subtotal === undefined || total === undefined || sumOf(invoice.lines) !== subtotal) return false;
  if (Number(invoice.content_version) < 4) return subtotal === total;
  const [discounts, taxes] = [amountOf(invoice.discount_total), amountOf(invoice.tax_total)];
  if (discounts === undefined || taxes === undefined) return false;
  const added = sumOf(invoice.taxes, ({ inclusive }) => inclusive === false);
  return (
    sumOf(invoice.discounts) === discounts &&
    added === taxes &&
    addAmounts(subtractAmounts(subtotal, discounts), taxes) === total
  );
};

export type ExportedFault = {
  readonly tenant: string;
  readonly number: number | undefined;
  readonly id: string | undefined;
  readonly reason: string;
};

/** Of one tenant: from which invoice to which they are as they were issued. */
export type ExportedChain = {
  readonly tenant: string;
  readonly count: number;
  readonly first: number;
  readonly last: number;
  readonly headHash: string;
  readonly faults: readonly ExportedFault[];
};

/** How documents of one kind are checked, each by itself. */
export type ExportedKind = {
  /** The hash that it must have; undefined where it is none that can be hashed. */
  readonly hashOf: (document: Json) => string | undefined;
  readonly sumFaults: (document: Json) => readonly string[];
};

export const verifyTenant = (tenant: string, unordered: readonly Json[], kind: ExportedKind): ExportedChain => {
  const documents = unordered.toSorted((a, b) => Number(a.number) - Number(b.number));
  const faults: ExportedFault[] = [];
  let before: Json | undefined;
  for (const document of documents) {
    const number = Number(document.number);
    const fault = (reason: string): void => {
      faults.push({ tenant, number, id: typeof document.id === 'string' ? document.id : undefined, reason });
    };
    // An export may begin anywhere; what stands before it is not in it.
    if (before !== undefined && number !== Number(before.number) + 1) fault(ChainFault.number);
    else if (document.previous_hash !== (before?.hash ?? (number === 1 ? genesisHash : document.previous_hash)))
      fault(ChainFault.previousHash);
    const hash = kind.hashOf(document);
    if (hash === undefined) fault(ChainFault.unreadable);
    else if (hash !== document.hash) fault(ChainFault.hash);
    for (const reason of kind.sumFaults(document)) fault(reason);
    before = document;
  }
  const [first, last] = [Number(documents[0]?.number), Number(before?.number)];
  return { tenant, count: documents.length, first, last, headHash: String(before?.hash), faults };
};

const invoices: ExportedKind = {
  hashOf,
  sumFaults: (invoice) => (sumsUp(invoice) ? [] : ['total_is_no_sum']),
};

/** Of NDJSON, one a line. Throws where a line is no JSON object. */
export const objectsOf = (ndjson: string): Json[] =>
  ndjson.split('\n').flatMap((line, index): Json[] => {
    if (line.trim() === '') return [];
    const value: unknown = JSON.parse(line);
    if (!isObject(value)) throw new Error(`line ${index + 1} is no invoice and no credit note`);
    return [value];
  });

/** It names the hash of its invoice, which no invoice does. */
export const isCreditNote = (value: Json): boolean => Object.hasOwn(value, 'invoice_hash');

/** A text of one invoice a line, as NDJSON, in any order; credit notes may stand among them, and are passed over. */
export const verifyExported = (ndjson: string): ExportedChain[] => {
  const exported = objectsOf(ndjson).filter((value) => !isCreditNote(value));
  const byTenant = Map.groupBy(exported, ({ tenant }) => String(tenant));
  return [...byTenant].map(([tenant, own]) => verifyTenant(tenant, own, invoices));
};
