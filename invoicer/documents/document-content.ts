/** What a document says, in words and figures of its language: what HTML and PDF have in common. Pure. */
import type { Instant } from '#schemas/period.ts';
import { addressLines } from './address-lines.ts';
import { documentWords } from './document-words.ts';
import type {
  DocumentCredit,
  DocumentLine,
  DocumentParty,
  DocumentStep,
  DocumentTax,
  InvoiceDocument,
} from './invoice-document.ts';
import type { DocumentWords } from './languages/words.ts';
import { printedLine, printedText } from './printed-text.ts';
import { createPrinter, type Printer } from './printed-values.ts';

export type Fact = { readonly label: string; readonly value: string };
export type PartyContent = { readonly label: string; readonly name: string; readonly lines: readonly string[] };
/** A row below a line: a step of its price, or a discount. */
export type DetailContent = {
  readonly text: string;
  readonly quantity: string;
  readonly unitPrice: string;
  readonly amount: string;
};
export type LineContent = DetailContent & {
  readonly period: string;
  readonly tax: string;
  readonly details: readonly DetailContent[];
};
export type TotalContent = Fact & { readonly isStrong: boolean };
export type DocumentContent = {
  readonly language: string;
  readonly title: string;
  readonly number: string;
  readonly headline: string;
  readonly facts: readonly Fact[];
  readonly seller: PartyContent | null;
  readonly buyer: PartyContent;
  readonly columns: {
    readonly description: string;
    /** These two are null of a credit note, and where they leave the description no room. */
    readonly quantity: string | null;
    readonly unitPrice: string | null;
    /** Null where no line is taxed. */
    readonly tax: string | null;
    readonly amount: string;
  };
  readonly lines: readonly LineContent[];
  readonly totals: readonly TotalContent[];
  readonly notes: readonly string[];
  readonly memo: { readonly label: string; readonly text: string } | null;
  readonly payment: { readonly label: string; readonly scan: string; readonly url: string } | null;
  readonly seal: { readonly label: string; readonly hash: string; readonly url: string | null };
  /** "Page {page} of {pages}", cut at both places. */
  readonly pageOf: readonly [string, string, string];
};

/** A link that a reader's program opens: nothing but the web. */
const webLink = (text: string | null): string | null => {
  const url = text === null ? null : URL.parse(text);
  return url && ['https:', 'http:'].includes(url.protocol) ? url.href : null;
};

const partyContent = (
  party: DocumentParty,
  label: string,
  words: DocumentWords,
  { country }: Printer,
): PartyContent => ({
  label,
  name: printedLine(party.name),
  lines: [
    ...(party.address ? addressLines(party.address, country(party.address.country)) : []),
    ...(party.email === null ? [] : [party.email]),
    ...party.taxIds.map(({ type, value }) => `${words.taxId} (${type.replace('_', ' ').toUpperCase()}): ${value}`),
  ].map(printedLine),
});

const taxText = (tax: DocumentTax, words: DocumentWords, { percentage }: Printer): string => {
  if (tax.treatment === 'reverse_charge') return words.reverseCharge;
  if (tax.treatment === 'exempt') return words.exempt;
  return percentage(tax.percentage);
};

const stepText = ({ kind, from, to, cell }: DocumentStep, words: DocumentWords, { quantity }: Printer): string => {
  const range = to === null ? words.unitsAbove(quantity(from)) : words.units(quantity(from), quantity(to));
  const text = kind === 'units' ? range : words.steps[kind];
  // The range is no text of a caller: the spaces that group its digits keep them together.
  return cell ? `${printedLine(Object.values(cell).join(', '))}: ${text}` : text;
};

const stepContent = (step: DocumentStep, words: DocumentWords, printer: Printer): DetailContent => {
  const isCounted = step.priced !== '0';
  return {
    text: stepText(step, words, printer),
    quantity: isCounted ? printer.quantity(step.priced) : '',
    unitPrice: isCounted ? printer.unitAmount(step.unitAmount) : '',
    amount: printer.stepAmount(step.amount),
  };
};

/** What one unit costs, where that is one price for all of the line. */
const unitPriceOf = ({ unitAmount, quantity, steps }: DocumentLine): string | undefined => {
  if (unitAmount !== null) return unitAmount;
  const [step, ...others] = steps;
  if (!step || others.length > 0) return undefined;
  if (step.kind === 'flat' && quantity === '1') return step.flatAmount;
  return step.kind === 'units' && step.priced === quantity && step.flatAmount === '0' ? step.unitAmount : undefined;
};

const lineContent = (line: DocumentLine, words: DocumentWords, printer: Printer): LineContent => {
  const unitPrice = unitPriceOf(line);
  return {
    text: printedLine(line.description),
    period: line.period ? printer.period(line.period) : '',
    quantity: line.quantity === null ? '' : printer.quantity(line.quantity),
    unitPrice: unitPrice === undefined ? '' : printer.unitAmount(unitPrice),
    tax: line.taxes.map((tax) => taxText(tax, words, printer)).join(', '),
    amount: printer.amount(line.amount),
    details: [
      ...(unitPrice === undefined ? line.steps.map((step) => stepContent(step, words, printer)) : []),
      ...line.discounts.map(({ name, amount }) => ({
        text: printedLine(name),
        quantity: '',
        unitPrice: '',
        amount: printer.amount(negated(amount)),
      })),
    ],
  };
};

const negated = (amount: string): string => {
  if (amount.startsWith('-')) return amount.slice(1);
  return /[1-9]/.test(amount) ? `-${amount}` : amount;
};

const taxTotal = (tax: DocumentTax, words: DocumentWords, printer: Printer): TotalContent => {
  const name = `${printedLine(tax.name)} (${taxText(tax, words, printer)})`;
  const label = words.taxOn(name, printer.amount(tax.taxableAmount));
  return {
    label: tax.isInclusive && tax.treatment === 'taxed' ? words.inclusiveTax(label) : label,
    value: printer.amount(tax.amount),
    isStrong: false,
  };
};

/** Whether it is below zero: nobody pays it. */
const isInFavor = ({ total }: InvoiceDocument): boolean => total.startsWith('-');

const totals = (document: InvoiceDocument, words: DocumentWords, printer: Printer): readonly TotalContent[] => [
  { label: words.subtotal, value: printer.amount(document.subtotal), isStrong: false },
  ...document.discounts.map(({ name, amount }) => ({
    label: `${words.discount}: ${printedLine(name)}`,
    value: printer.amount(negated(amount)),
    isStrong: false,
  })),
  ...document.taxes.map((tax) => taxTotal(tax, words, printer)),
  ...(document.credit
    ? creditTotals(document.credit, document, words, printer)
    : [
        { label: words.total, value: printer.amount(document.total), isStrong: false },
        isInFavor(document)
          ? { label: words.amountInFavor, value: printer.amount(negated(document.total)), isStrong: true }
          : { label: words.amountDue, value: printer.amount(document.total), isStrong: true },
      ]),
];

/** All of it, and what becomes of what was paid. */
const creditTotals = (
  { notDue, paid }: DocumentCredit,
  { total }: InvoiceDocument,
  words: DocumentWords,
  printer: Printer,
): readonly TotalContent[] => [
  { label: words.credit.total, value: printer.amount(total), isStrong: true },
  ...(paid
    ? [
        { label: words.credit.notDue, value: printer.amount(notDue), isStrong: false },
        { label: words.credit[paid.settlement], value: printer.amount(paid.amount), isStrong: false },
      ]
    : []),
];

const creditFacts = (
  { invoiceNumber, reason }: DocumentCredit,
  { documentNumber, issuedAt }: InvoiceDocument,
  words: DocumentWords,
  { date }: Printer,
): readonly Fact[] => [
  { label: words.credit.number, value: printedLine(documentNumber) },
  { label: words.credit.issueDate, value: date(issuedAt) },
  { label: words.credit.invoice, value: printedLine(invoiceNumber) },
  { label: words.credit.reason, value: words.credit.reasons[reason] },
];

/** Null: on receipt, as where no terms were agreed, or such of no days. */
const dueDateOf = ({ dueAt, issuedAt }: InvoiceDocument): Instant | null =>
  dueAt === null || dueAt <= issuedAt ? null : dueAt;

const invoiceFacts = (document: InvoiceDocument, words: DocumentWords, { date }: Printer): readonly Fact[] => {
  const dueAt = dueDateOf(document);
  return [
    { label: words.invoiceNumber, value: printedLine(document.documentNumber) },
    { label: words.issueDate, value: date(document.issuedAt) },
    ...(isInFavor(document)
      ? []
      : [{ label: words.dueDate, value: dueAt === null ? words.dueOnReceipt : date(dueAt) }]),
    ...(document.purchaseOrder === null
      ? []
      : [{ label: words.purchaseOrder, value: printedLine(document.purchaseOrder) }]),
    ...document.customFields.map(({ name, value }) => ({ label: printedLine(name), value: printedLine(value) })),
  ];
};

const headlineOf = (document: InvoiceDocument, words: DocumentWords, { amount, date }: Printer): string => {
  if (isInFavor(document)) return words.inFavor(amount(negated(document.total)));
  const total = amount(document.total);
  const dueAt = dueDateOf(document);
  return dueAt === null ? words.amountDueOnReceipt(total) : words.amountDueBy(total, date(dueAt));
};

/** What it is, and what it comes to. */
const heading = (document: InvoiceDocument, words: DocumentWords, printer: Printer) => {
  const total = printer.amount(document.total);
  if (document.credit)
    return {
      title: words.credit.title,
      headline: words.credit.headline(total),
      facts: creditFacts(document.credit, document, words, printer),
      sealLabel: words.credit.seal,
    };
  return {
    title: words.invoice,
    headline: headlineOf(document, words, printer),
    facts: invoiceFacts(document, words, printer),
    sealLabel: words.seal,
  };
};

export const documentContent = (document: InvoiceDocument): DocumentContent => {
  const words = documentWords(document.language);
  const printer = createPrinter(words.locale, document.timeZone, document.currency);
  const { seller, buyer, memo } = document;
  const { sealLabel, ...heads } = heading(document, words, printer);
  const paymentUrl = isInFavor(document) ? null : webLink(document.paymentUrl);
  const hasTaxes = document.lines.some(({ taxes }) => taxes.length > 0);
  return {
    language: document.language,
    number: printedLine(document.documentNumber),
    ...heads,
    seller: seller && partyContent(seller, words.from, words, printer),
    buyer: buyer
      ? partyContent(buyer, words.billTo, words, printer)
      : { label: words.billTo, name: words.erasedCustomer, lines: [] },
    columns: {
      description: words.description,
      quantity: document.credit ? null : words.quantity,
      unitPrice: document.credit ? null : words.unitPrice,
      tax: hasTaxes ? words.tax : null,
      amount: words.amount,
    },
    lines: document.lines.map((line) => lineContent(line, words, printer)),
    totals: totals(document, words, printer),
    notes: document.taxes.some(({ treatment }) => treatment === 'reverse_charge') ? [words.reverseChargeNote] : [],
    memo: memo === null || memo.trim() === '' ? null : { label: words.memo, text: printedText(memo) },
    payment: paymentUrl === null ? null : { label: words.payOnline, scan: words.scanToPay, url: paymentUrl },
    seal: { label: sealLabel, hash: document.hash, url: webLink(document.verifyUrl) },
    pageOf: words.pageOf('\0', '\0').split('\0') as [string, string, string],
  };
};
