/** [I15] On which invoice a delta is. */
import { describe, expect, it } from 'vitest';
import { type DueInvoice, type LatePeriod, placeDeltas } from '../../../../rater/run/place-deltas.ts';

const period: LatePeriod = {
  id: 'bpd_1',
  customerId: 'cus_1',
  subscriptionId: 'sub_1',
  currency: 'USD',
  payerId: 'cus_1',
  isConsolidated: false,
  lateUsage: 'bill_next',
  corrections: 0,
  hasNext: true,
};
const due: DueInvoice = {
  payerId: 'cus_1',
  isConsolidated: false,
  subscriptionId: 'sub_1',
  currency: 'USD',
  dueAt: 200,
  month: '2026-11',
};
const run = { dueAt: 300, month: '2026-12' };
const placed = (of: Partial<LatePeriod>, ...invoices: Partial<DueInvoice>[]) =>
  placeDeltas(
    [{ ...period, ...of }],
    invoices.map((one) => ({ ...due, ...one })),
    run,
  ).map(({ dueAt, month, correction }) => `${correction} at ${dueAt} of ${month}`);

describe('a delta', () => {
  it.each([
    ['on the invoice of its subscription', {}, [{}], ['1 at 200 of 2026-11']],
    ['on the first of several', {}, [{}, { dueAt: 100, month: '2026-10' }], ['1 at 100 of 2026-10']],
    ['and waits, where only another subscription has one', {}, [{ subscriptionId: 'sub_2' }], []],
    ['and waits, where only another payer has one', {}, [{ payerId: 'cus_2' }], []],
    ['and waits, where it is in another currency', {}, [{ currency: 'EUR' }], []],
    ['and waits, where nothing is due', {}, [], []],
    ['on its own invoice, where there is no next one', { hasNext: false }, [], ['1 at 300 of 2026-12']],
    ['on what is due, though there is no next one', { hasNext: false }, [{}], ['1 at 200 of 2026-11']],
    [
      'on the one invoice of its payer, whoever of theirs it is of',
      { payerId: 'cus_2', isConsolidated: true },
      [{ payerId: 'cus_2', isConsolidated: true, subscriptionId: '' }],
      ['1 at 200 of 2026-11'],
    ],
    ['by itself, where it is only reported', { lateUsage: 'report_only' }, [{}], ['1 at 300 of 2026-12']],
    ['numbered behind those before', { corrections: 2 }, [{}], ['3 at 200 of 2026-11']],
  ] as const)('is %s', (_, of, invoices, expected) => {
    expect(placed(of, ...invoices)).toEqual(expected);
  });
});
