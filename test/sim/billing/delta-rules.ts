/**
 * What discounts and taxes of a period come to over its invoice and its deltas, held against the rules of
 * docs/discounts.md and docs/taxes.md. What breaks one is told, and not thrown: whoever asks decides.
 */
import { Decimal } from 'decimal.js';
import type { CreditNote } from '#schemas/credit-note.ts';
import type { InvoiceLine } from '#schemas/invoice.ts';
import { formatAmount, negateAmount } from '#schemas/money.ts';
import { formatPercentage } from '#schemas/tax-rate.ts';
import { printed } from '../../support/brute-prices.ts';
import { Exact } from '../../support/brute-usage.ts';
import type { Tables } from './tables.ts';

type Placed = {
  readonly line: Pick<InvoiceLine, 'amount' | 'billingPeriodId' | 'chargeCode' | 'discounts' | 'kind' | 'taxes'>;
  readonly root: string;
  readonly invoiceId: string;
};

const decimal = (amount: bigint): Decimal => new Exact(formatAmount(amount as never));
const sumOf = (amounts: readonly Decimal[]): Decimal => amounts.reduce((sum, one) => sum.add(one), new Exact(0));

/** What a credit note gives back, as a line below zero. */
const backwards = (line: CreditNote['lines'][number]): Placed['line'] => ({
  ...line,
  kind: 'delta',
  amount: negateAmount(line.amount),
  discounts: line.discounts.map((one) => ({ ...one, amount: negateAmount(one.amount) })),
  taxes: line.taxes.map((one) => ({ ...one, amount: negateAmount(one.amount) })),
});

/** Lines of what was measured and of its deltas, by the period that was billed first. */
const placedLines = ({ invoices, periods, creditNotes, creditedDeltas }: Tables): Map<string, Placed[]> => {
  const notes = creditNotes.filter(({ id }) => creditedDeltas.has(id));
  const given = notes.map(({ invoice: { id }, lines }) => ({ id, lines: lines.map(backwards) }));
  const placed = [...invoices, ...given].flatMap(({ id: invoiceId, lines }) =>
    lines.flatMap((line): Placed[] => {
      const period = periods.get(line.billingPeriodId ?? '');
      const isArrears = period?.part.timing === 'arrears';
      return period && isArrears ? [{ line, root: period.correctsId ?? period.id, invoiceId }] : [];
    }),
  );
  return Map.groupBy(placed, ({ root }) => root);
};

/** Of a rate no more is given back of a charge than was charged of it. */
const taxFaults = (root: string, placed: readonly Placed[]): string[] => {
  const taxes = placed.flatMap(({ line }) => line.taxes.map((tax) => ({ ...tax, charge: line.chargeCode })));
  return [...Map.groupBy(taxes, ({ charge, code }) => `${charge} ${code}`)].flatMap(([name, own]) => {
    const sum = sumOf(own.map(({ amount }) => decimal(amount)));
    const charge = own[0]?.charge;
    const whole = sumOf(
      placed.filter(({ line }) => line.chargeCode === charge).map(({ line }) => decimal(line.amount)),
    );
    return sum.lt(0) && whole.gte(0) ? [`taxes: ${sum} of ${name} over ${root}`] : [];
  });
};

/** Of a percentage that is alone on the invoice of its period, which bills nothing else: it is of the whole. */
const discountFaults = (tables: Tables, root: string, placed: readonly Placed[]): string[] => {
  const first = placed[0]?.invoiceId;
  const invoice = tables.invoices.find(({ id }) => id === first);
  const [only, ...others] = invoice?.discounts ?? [];
  const discount = tables.discounts.find(({ id }) => id === only?.discountId);
  const { value } = discount ?? {};
  if (invoice?.periods.length !== 1 || others.length > 0 || value?.kind !== 'percentage') return [];
  const whole = sumOf(placed.map(({ line }) => decimal(line.amount)));
  const exact = Decimal.max(0, whole).mul(formatPercentage(value.percentage)).div(100);
  const given = sumOf(placed.flatMap(({ line }) => line.discounts.map(({ amount }) => decimal(amount))));
  const wanted = printed(new Exact(exact), 'USD', 'half_up');
  return given.eq(wanted) ? [] : [`discounts: ${given} in place of ${wanted} over ${root}`];
};

/** Of all periods that have deltas. */
export const deltaFaults = (tables: Tables): string[] =>
  [...placedLines(tables)].flatMap(([root, placed]) => {
    const isReported = [...tables.periods.values()].some((one) => one.correctsId === root && one.state === 'reported');
    if (isReported || placed.every(({ line }) => line.kind !== 'delta')) return [];
    return [...taxFaults(root, placed), ...discountFaults(tables, root, placed)];
  });
