/** An issued invoice and what stands around it -> whether it is as it was issued, check by check. Pure. */
import { isDeepStrictEqual } from 'node:util';
import { creditedBefore, printedOf } from '#schemas/credited-line.ts';
import { discountToJson, taxToJson } from '#schemas/invoice/content-parts.ts';
import type { InvoiceLine, InvoiceTotals, IssuedInvoice } from '#schemas/invoice.ts';
import { formatMinorUnits } from '#schemas/money.ts';
import { priceStepToJson, type RatedLine } from '#schemas/rated-line.ts';
import { type ChainHead, canonicalInvoice, chainHash, genesisHash } from './invoice-hash.ts';
import { totalsOf } from './invoice-totals.ts';

export const invoiceCheckNames = ['hash', 'previous', 'next', 'sums', 'rated_lines'] as const;
export type InvoiceCheck = {
  readonly check: (typeof invoiceCheckNames)[number];
  readonly result: 'passed' | 'failed' | 'skipped';
  readonly detail: string;
};

/** The invoices numbered one less and one more, where they are there. */
export type Neighbours = {
  readonly before: ChainHead | undefined;
  readonly after: { readonly previousHash: string } | undefined;
};

const outcome = (check: InvoiceCheck['check'], isPassed: boolean, detail: string): InvoiceCheck => ({
  check,
  result: isPassed ? 'passed' : 'failed',
  detail,
});

const hashOf = (invoice: IssuedInvoice): string | undefined => {
  try {
    return chainHash(invoice.previousHash, canonicalInvoice(invoice));
  } catch {
    return undefined;
  }
};

const checkHash = (invoice: IssuedInvoice): InvoiceCheck => {
  const hash = hashOf(invoice);
  return outcome(
    'hash',
    hash === invoice.hash,
    hash === undefined
      ? 'what is stored can be of no invoice'
      : `what it says, and the hash before it, hash to ${hash}; it was issued as ${invoice.hash}`,
  );
};

const checkPrevious = ({ number, previousHash }: IssuedInvoice, { before }: Neighbours): InvoiceCheck => {
  if (number === 1)
    return outcome('previous', previousHash === genesisHash, 'it is the first, and its chain begins with 64 zeros');
  return outcome(
    'previous',
    before?.hash === previousHash,
    before ? `invoice ${number - 1} has the hash ${before.hash}` : `invoice ${number - 1} is not there`,
  );
};

const checkNext = ({ number, hash }: IssuedInvoice, { after }: Neighbours): InvoiceCheck => {
  if (!after) return { check: 'next', result: 'skipped', detail: 'it is the last one' };
  return outcome('next', after.previousHash === hash, `invoice ${number + 1} follows ${after.previousHash}`);
};

const totalsJson = (totals: InvoiceTotals, { currency }: IssuedInvoice) => ({
  discounts: totals.discounts.map((discount) => discountToJson(discount, currency)),
  taxes: totals.taxes.map((tax) => taxToJson(tax, currency)),
  subtotal: formatMinorUnits(totals.subtotal, currency),
  discount_total: formatMinorUnits(totals.discountTotal, currency),
  tax_total: formatMinorUnits(totals.taxTotal, currency),
  total: formatMinorUnits(totals.total, currency),
});

/** [I19] */
const checkSums = (invoice: IssuedInvoice): InvoiceCheck => {
  const [own, summed] = [totalsJson(invoice, invoice), totalsJson(totalsOf(invoice.lines), invoice)];
  return outcome(
    'sums',
    isDeepStrictEqual(own, summed),
    `${invoice.lines.length} lines come to ${summed.total}, of which taxes ${summed.tax_total}; it says ${own.total} and ${own.tax_total}`,
  );
};

/** A credit takes back less than was rated where credit notes gave back the rest, which its last step says. */
const isAsRated = (line: InvoiceLine, rated: RatedLine): boolean => {
  const printed = printedOf(rated, creditedBefore(line));
  return (
    line.quantity === rated.quantity &&
    line.precise === printed.precise &&
    line.amount === printed.amount &&
    line.description === rated.chargeName &&
    isDeepStrictEqual(line.steps.map(priceStepToJson), printed.steps.map(priceStepToJson))
  );
};

/** `rated` are those of its billing periods at their watermarks. Other lines than charges have none. */
const checkRatedLines = ({ lines, periods }: IssuedInvoice, rated: readonly RatedLine[]): InvoiceCheck => {
  const charges = lines.filter(({ kind, chargeCode }) => kind === 'charge' && chargeCode !== null);
  if (charges.length === 0)
    return { check: 'rated_lines', result: 'skipped', detail: 'none of its lines charges for a billing period' };
  const keyOf = (billingPeriodId: string | null, chargeCode: string | null) =>
    JSON.stringify([billingPeriodId ?? periods[0]?.billingPeriodId, chargeCode]);
  const byKey = new Map(rated.map((line) => [keyOf(line.billingPeriodId, line.chargeCode), line]));
  const different = charges.filter((line) => {
    const of = byKey.get(keyOf(line.billingPeriodId, line.chargeCode));
    return of === undefined || !isAsRated(line, of);
  });
  const named = different
    .slice(0, 10)
    .map(({ position }) => position)
    .join(', ');
  return outcome(
    'rated_lines',
    different.length === 0,
    different.length === 0
      ? `${charges.length} lines are those that were rated`
      : `${different.length} of ${charges.length} lines are not as they were rated: ${named}`,
  );
};

export const verifyInvoice = (
  invoice: IssuedInvoice,
  neighbours: Neighbours,
  rated: readonly RatedLine[],
): readonly InvoiceCheck[] => [
  checkHash(invoice),
  checkPrevious(invoice, neighbours),
  checkNext(invoice, neighbours),
  checkSums(invoice),
  checkRatedLines(invoice, rated),
];
