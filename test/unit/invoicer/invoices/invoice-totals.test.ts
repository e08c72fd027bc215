import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { contentToJson4 } from '#schemas/invoice/content-4.ts';
import type { InvoiceLine } from '#schemas/invoice.ts';
import { type Amount, roundToMinorUnits, toPrecise } from '#schemas/money.ts';
import { TaxTreatment } from '#schemas/tax-rate.ts';
import { draftInvoice } from '../../../../invoicer/invoices/draft-invoice.ts';
import { totalsOf, withLines } from '../../../../invoicer/invoices/invoice-totals.ts';
import {
  amountOf,
  issuedWith,
  october,
  parties,
  ratedLlmPro,
  ratedPeriod,
  reduced,
  vat,
} from '../../../support/invoice-examples.ts';
import { anyCurrency, Exact } from '../../../support/rating-arbitraries.ts';
import { scaled } from '../../../support/scale.ts';

const draft = draftInvoice(parties, [ratedPeriod(ratedLlmPro({ requests: '221' }))]);
const [line] = draft.lines as [InvoiceLine];

const sumOf = (items: readonly { readonly amount: string }[]) =>
  items.reduce((sum, { amount }) => sum.add(amount), new Exact(0));

describe('totals of an invoice', () => {
  it('[I19] the total is the sum of the lines, less discounts, and with the taxes that are added', () => {
    const anyDraft = anyCurrency.chain((currency) => {
      const amounts = fc
        .bigInt({ min: -(10n ** 24n), max: 10n ** 24n })
        .map((amount) => roundToMinorUnits(toPrecise(amount as Amount), currency, 'half_up'));
      const discount = fc.record({
        discountId: fc.constantFrom('dsc_1', 'dsc_2', 'dsc_3'),
        couponId: fc.constant('cpn_1'),
        name: fc.constant('x'),
        amount: amounts,
      });
      const tax = fc.record({
        taxRateId: fc.constantFrom('txr_1', 'txr_2', null),
        code: fc.constantFrom('vat', 'pst'),
        name: fc.constant('Tax'),
        percentage: fc.constantFrom('19', '8.875'),
        isInclusive: fc.boolean(),
        treatment: fc.constantFrom(...Object.values(TaxTreatment)),
        taxableAmount: amounts,
        amount: amounts,
      });
      return fc
        .array(
          fc.record({
            amount: amounts,
            discounts: fc.array(discount, { maxLength: 3 }),
            taxes: fc.array(tax, { maxLength: 3 }),
          }),
          { maxLength: 6 },
        )
        .map((lines) =>
          withLines(
            { ...draft, currency },
            lines.map((more, index) => ({ ...line, ...more, position: index + 1 })),
          ),
        );
    });
    fc.assert(
      fc.property(anyDraft, (one) => {
        const json = contentToJson4({ ...one, ...issuedWith(4, 1, october.end), id: 'inv_1', tenant: 'org_1' });
        const { lines } = json;
        const added = lines.flatMap(({ taxes }) => taxes.filter(({ inclusive }) => !inclusive));
        expect(sumOf(lines).equals(json.subtotal)).toBe(true);
        expect(sumOf(lines.flatMap(({ discounts }) => discounts)).equals(json.discount_total)).toBe(true);
        expect(sumOf(added).equals(json.tax_total)).toBe(true);
        expect(new Exact(json.subtotal).sub(json.discount_total).add(json.tax_total).equals(json.total)).toBe(true);
        expect(sumOf(json.discounts).equals(json.discount_total)).toBe(true);
        expect(sumOf(json.taxes).equals(sumOf(lines.flatMap(({ taxes }) => taxes)))).toBe(true);
        const rates = json.taxes.map(({ amount: _, taxable_amount: __, ...rate }) => JSON.stringify(rate));
        expect(new Set(rates).size).toBe(rates.length);
        expect(new Set(json.discounts.map(({ discount_id }) => discount_id)).size).toBe(json.discounts.length);
      }),
      { numRuns: scaled(500) },
    );
  });

  it('a tax is added to what is left after the discount, and one that is in the lines changes no total', () => {
    const after = reduced(draft);
    expect([after.subtotal, after.discountTotal, after.taxTotal, after.total]).toEqual(
      ['24.5', '2', '3.42', '25.92'].map(amountOf),
    );
    const inclusive = { ...vat('20', '3.19'), isInclusive: true };
    const totals = totalsOf([{ ...line, taxes: [inclusive] }]);
    expect(totals).toMatchObject({ taxTotal: 0n, total: amountOf('20'), taxes: [inclusive] });
  });

  it('a rate that is on several lines is said once, apart for each treatment', () => {
    const exempt = { ...vat('5', '0'), treatment: 'exempt' } as const;
    const taxes = totalsOf([
      { ...line, taxes: [vat('18', '3.42')] },
      { ...line, taxes: [exempt] },
      { ...line, taxes: [vat('1', '0.19')] },
    ]).taxes;
    expect(taxes).toEqual([vat('19', '3.61'), exempt]);
  });

  it('nothing is taken off or added where there is neither discount nor tax', () => {
    expect(totalsOf([])).toEqual({
      discounts: [],
      taxes: [],
      subtotal: 0n,
      discountTotal: 0n,
      taxTotal: 0n,
      total: 0n,
    });
  });
});
