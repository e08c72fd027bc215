/** Which invoices of a shard are carried over, and onto which. */
import { describe, expect, it } from 'vitest';
import { type Amount, formatMinorUnits, parseAmount, sumAmounts } from '#schemas/money.ts';
import { defaultNumberFormat } from '#schemas/number-format.ts';
import { carryOn } from '../../../../invoicer/invoices/carry-over.ts';
import { plainTerms } from '../../../../invoicer/invoices/draft-invoice.ts';
import type { InvoiceGroup } from '../../../../invoicer/issuing/close-period.ts';

const usd = (text: string): Amount => {
  const amount = parseAmount(text.replace('-', ''));
  if (amount === undefined) throw new Error(text);
  return text.startsWith('-') ? (-amount as Amount) : amount;
};

/** A billing period that comes to an amount. */
type Part = { readonly amount: string; readonly isCredit?: boolean };
type Told = {
  readonly parts: readonly Part[];
  readonly customer?: string;
  readonly subscription?: string;
  readonly goesOn?: boolean;
  readonly minimum?: string | null;
  readonly isDraft?: boolean;
};

/** Groups in the order of time, by their number, and what each of their periods comes to. */
const told = (invoices: readonly Told[]) => {
  const amounts = new Map<string, Amount>();
  const groups = invoices.map((of, index): InvoiceGroup => {
    const { parts, customer = 'cus_1', subscription = 'sub_1', goesOn = true, minimum = '10' } = of;
    const periods = parts.map(({ amount }, place) => {
      const billingPeriodId = `bpd_${index}${place}`;
      amounts.set(billingPeriodId, usd(amount));
      const span = { start: index * 100, end: index * 100 + 100 };
      return { billingPeriodId, customerId: customer, subscriptionId: subscription, planVersionId: 'plv_1', span };
    });
    // Printed behind those of the invoice that takes them.
    const ranks = new Map(periods.map(({ billingPeriodId }, place) => [billingPeriodId, 100 - index * 10 + place]));
    return {
      parties: { customerId: customer, currency: 'USD', terms: plainTerms },
      periods,
      creditIds: periods.filter((_, place) => parts[place]?.isCredit).map(({ billingPeriodId }) => billingPeriodId),
      timeZone: 'UTC',
      buyerDigest: null,
      numbers: { format: defaultNumberFormat, timeZone: 'UTC' },
      ...(minimum !== null && {
        carry: { billedWith: subscription, minimum: usd(minimum), dueAt: index * 100 + 100, goesOn, ranks },
      }),
      ...(of.isDraft && { draft: { id: 'inv_1', items: [], discountIds: [] } }),
    };
  });
  return { groups, amounts };
};

/** To the end: each invoice that is issued, and each that was not, with its periods and its total. */
const carried = (...invoices: readonly Told[]) => {
  const { groups, amounts } = told(invoices);
  const steps: string[] = [];
  const totalOf = ({ periods }: InvoiceGroup) =>
    sumAmounts(periods.map(({ billingPeriodId }) => amounts.get(billingPeriodId) ?? usd('0')));
  let left: readonly InvoiceGroup[] = groups;
  for (;;) {
    const weighed = new Map(
      left.map((group) => [
        group,
        { total: totalOf(group), billingPeriodIds: group.periods.map(({ billingPeriodId }) => billingPeriodId) },
      ]),
    );
    const next = carryOn(left, weighed);
    if (!next) break;
    steps.push(
      ...next.carried.map(
        ({ billingPeriodIds, total, waits }) =>
          `${billingPeriodIds.join('+')} ${formatMinorUnits(total, 'USD')} ${waits ? 'waits' : 'goes on'}`,
      ),
    );
    left = next.groups;
  }
  const issued = left.map((group) => {
    const periods = group.periods.map(({ billingPeriodId, carriedFrom }) =>
      carriedFrom === undefined ? billingPeriodId : `${billingPeriodId} from ${carriedFrom}`,
    );
    return `${periods.join('+')} ${formatMinorUnits(totalOf(group), 'USD')}`;
  });
  return { steps, issued };
};
const one = (amount: string, more: Omit<Told, 'parts'> = {}): Told => ({ parts: [{ amount }], ...more });

describe('an invoice', () => {
  it.each([
    ['below the minimum waits', [one('9.99')], ['bpd_00 9.99 waits'], []],
    ['of exactly the minimum is issued', [one('10')], [], ['bpd_00 10.00']],
    ['of zero is issued', [one('0')], [], ['bpd_00 0.00']],
    ['below zero is issued', [one('-1')], [], ['bpd_00 -1.00']],
    ['of a payer without a minimum is issued', [one('1', { minimum: null })], [], ['bpd_00 1.00']],
    ['that is the last one is issued', [one('1', { goesOn: false })], [], ['bpd_00 1.00']],
    ['that was a draft is issued', [one('1', { isDraft: true })], [], ['bpd_00 1.00']],
    [
      'goes on to the next one of the shard, though nothing comes after that',
      [one('4'), one('6', { goesOn: false })],
      ['bpd_00 4.00 goes on'],
      ['bpd_10+bpd_00 from 100 10.00'],
    ],
    [
      'goes on and on until there is enough, and what is left waits',
      [one('4'), one('5'), one('3'), one('2')],
      ['bpd_00 4.00 goes on', 'bpd_10+bpd_00 9.00 goes on', 'bpd_30 2.00 waits'],
      ['bpd_20+bpd_10 from 200+bpd_00 from 100 12.00'],
    ],
    [
      'waits for none of another payer, or of another subscription',
      [one('4'), one('20', { customer: 'cus_2' }), one('20', { subscription: 'sub_2' })],
      ['bpd_00 4.00 waits'],
      ['bpd_10 20.00', 'bpd_20 20.00'],
    ],
    [
      'is issued before one that takes something of it back',
      [one('4', { goesOn: false }), { parts: [{ amount: '-3', isCredit: true }, { amount: '1' }] }],
      [],
      ['bpd_00 4.00', 'bpd_10+bpd_11 -2.00'],
    ],
  ])('%s', (_, invoices, steps, issued) => {
    expect(carried(...invoices)).toEqual({ steps, issued });
  });

  it('leaves everybody else as they are', () => {
    const { groups } = told([one('20'), one('30')]);
    expect(carryOn(groups, new Map(groups.map((group) => [group, { total: usd('20'), billingPeriodIds: [] }])))).toBe(
      undefined,
    );
  });
});
