/** What discounts and taxes of invoices go by, as discount-facts.postgres.ts and tax-facts.postgres.ts read it. */
import type { InvoiceLine } from '#schemas/invoice.ts';
import { type AppliedTax, parsePercentage } from '#schemas/tax-rate.ts';
import { type BilledBefore, type BilledLine, givenBackOf } from '../../../invoicer/corrections/billed-before.ts';
import type { DiscountedInvoices, DiscountFacts, TakenBack } from '../../../invoicer/discounts/discount-facts.ts';
import type { ChargedTaxes, TaxedInvoices, TaxFacts } from '../../../invoicer/taxes/tax-facts.ts';
import { chargesOf, issuedLines } from './charges-ahead.ts';
import { periodsIn } from './cut-store.ts';
import { invoiceOf, type PeriodRecord, type Tables } from './tables.ts';

const takenBackOf = (tables: Tables, charge: PeriodRecord): TakenBack => {
  const lines = issuedLines(tables, charge).filter(({ discounts }) => discounts.length > 0);
  return {
    chargeId: charge.id,
    lines: charge.invoiceId
      ? new Map(lines.map(({ chargeCode, amount, discounts }) => [chargeCode ?? '', { amount, discounts }]))
      : undefined,
  };
};

/** A line as it was billed, and what credit notes of deltas gave back of it. */
const linesOf = (tables: Tables, { correction, invoiceId = '' }: PeriodRecord, line: InvoiceLine): BilledLine[] => {
  const { position } = line;
  const billed = { ...line, chargeCode: line.chargeCode ?? '', correction, printed: { invoiceId, position } };
  const back = tables.creditNotes
    .filter(({ invoice }) => invoice.id === invoiceId)
    .flatMap(({ id, lines }) => {
      const by = tables.periods.get(tables.creditedDeltas.get(id) ?? '');
      const own = lines.filter(({ invoiceLine }) => invoiceLine === position);
      return by ? own.map((one) => givenBackOf(billed, one, by.correction)) : [];
    });
  return [billed, ...back];
};

const billedBeforeOf = (tables: Tables, delta: PeriodRecord): BilledBefore => {
  const billed = periodsIn(tables)
    .filter(({ id, correctsId, state }) => state === 'billed' && [id, correctsId].includes(delta.correctsId as string))
    .toSorted((a, b) => a.correction - b.correction);
  const first = invoiceOf(tables, billed[0]?.invoiceId);
  const uses = tables.uses.filter(({ invoiceId, isOnce }) => isOnce && invoiceId === first?.id);
  return {
    issuedAt: first?.issuedAt as number,
    onceIds: new Set(uses.map(({ discountId }) => discountId)),
    lines: billed
      .flatMap((period) => issuedLines(tables, period).flatMap((line) => linesOf(tables, period, line)))
      .toSorted((a, b) => a.correction - b.correction),
  };
};

export const deltasBefore = (tables: Tables, ids: readonly string[]): ReadonlyMap<string, BilledBefore> =>
  new Map(
    ids
      .flatMap((id) => tables.periods.get(id) ?? [])
      .filter(({ timing }) => timing === 'delta')
      .map((delta) => [delta.id, billedBeforeOf(tables, delta)]),
  );

export const discountFactsOf = (
  tables: Tables,
  { customerIds, creditIds, billingPeriodIds }: DiscountedInvoices,
): DiscountFacts | undefined => {
  const held = tables.discounts.filter(({ customerId }) => customerIds.includes(customerId));
  const takenBack = new Map(chargesOf(tables, creditIds).map(([id, charge]) => [id, takenBackOf(tables, charge)]));
  const hasNone =
    held.length === 0 && ![...takenBack.values()].some(({ lines }) => lines !== undefined && lines.size > 0);
  if (hasNone) return undefined;
  const periods = billingPeriodIds.map((id) => tables.periods.get(id) as PeriodRecord);
  return {
    rounding: 'half_up',
    held,
    uses: tables.uses.filter(({ discountId }) => held.some(({ id }) => id === discountId)),
    periods: new Map(periods.map(({ id, timing, part, dueAt }) => [id, { timing, start: part.billing.start, dueAt }])),
    planIds: new Map([...tables.plans.values()].map(({ id, planId }) => [id, planId])),
    priceOf: () => undefined,
    takenBack,
    billedBefore: deltasBefore(tables, creditIds),
  };
};

const appliedOf = ({ taxes }: InvoiceLine): AppliedTax[] =>
  taxes.map(({ taxRateId, code, name, percentage, isInclusive: inclusive, treatment }) => {
    const parsed = parsePercentage(percentage) as AppliedTax['percentage'];
    return { taxRateId, code, name, percentage: parsed, inclusive, treatment };
  });

const chargedTaxes = (tables: Tables, charge: PeriodRecord): ChargedTaxes => {
  const lines = issuedLines(tables, charge).filter(({ taxes }) => taxes.length > 0);
  return new Map(lines.map((line) => [line.chargeCode ?? '', appliedOf(line)]));
};

export const taxFactsOf = (tables: Tables, { customerIds, creditIds }: TaxedInvoices): TaxFacts | undefined => {
  const charges = chargesOf(tables, creditIds).filter(([, { invoiceId }]) => invoiceId !== undefined);
  const takenBack = new Map(charges.map(([id, charge]) => [id, chargedTaxes(tables, charge)]));
  const billedBefore = deltasBefore(tables, creditIds);
  const wasTaxed =
    [...takenBack.values()].some(({ size }) => size > 0) ||
    [...billedBefore.values()].some(({ lines }) => lines.some(({ taxes }) => taxes.length > 0));
  if (tables.taxRates.length === 0 && !wasTaxed) return undefined;
  const customers = customerIds.map(
    (id): [string, TaxFacts['customers'] extends ReadonlyMap<string, infer C> ? C : never] => [
      id,
      {
        country: null,
        state: null,
        taxIdCountries: [],
        treatment: 'taxable',
        exemptionReason: null,
        taxRateIds: tables.customers.get(id)?.taxRateIds ?? [],
      },
    ],
  );
  return {
    calculation: 'rates',
    rates: tables.taxRates,
    policy: { rounding: 'half_up', taxRounding: tables.taxRounding },
    customers: new Map(customers),
    categories: new Map(),
    takenBack,
    billedBefore,
  };
};
