/** With which invoice falls due what was carried over. */
import { describe, expect, it } from 'vitest';
import { type CarriedPeriod, type DueGroup, placeCarried } from '../../../../rater/run/place-carried.ts';

const period: CarriedPeriod = {
  id: 'bpd_1',
  subscriptionId: 'sub_1',
  payerId: 'cus_1',
  isConsolidated: false,
  currency: 'USD',
  carriedFrom: 100,
  isAdvance: false,
  isOver: false,
  goesOn: true,
};
const due: DueGroup = {
  payerId: 'cus_1',
  isConsolidated: false,
  subscriptionId: 'sub_1',
  currency: 'USD',
  dueAt: 200,
  month: '2026-11',
  creditedIds: new Set(),
};
const run = { dueAt: 300, month: '2026-12' };
const placed = (periods: readonly Partial<CarriedPeriod>[], ...invoices: Partial<DueGroup>[]) =>
  placeCarried(
    periods.map((of) => ({ ...period, ...of })),
    invoices.map((one) => ({ ...due, ...one })),
    run,
  ).map(({ id, dueAt, month, isLast }) => `${id} at ${dueAt} of ${month}${isLast ? ', at last' : ''}`);
const consolidated = { payerId: 'cus_2', isConsolidated: true };

describe('what was carried over', () => {
  it.each([
    ['on the invoice of its subscription', [{}], [{}], ['bpd_1 at 200 of 2026-11']],
    ['on the first of several', [{}], [{}, { dueAt: 150, month: '2026-10' }], ['bpd_1 at 150 of 2026-10']],
    ['and waits, where only another subscription has one', [{}], [{ subscriptionId: 'sub_2' }], []],
    ['and waits, where only another payer has one', [{}], [{ payerId: 'cus_2' }], []],
    ['and waits, where it is in another currency', [{}], [{ currency: 'EUR' }], []],
    ['and waits, where nothing is due', [{}], [], []],
    ['by itself, where nothing will be due', [{ goesOn: false }], [], ['bpd_1 at 300 of 2026-12, at last']],
    ['by itself, where a year is over', [{ isOver: true }], [], ['bpd_1 at 300 of 2026-12, at last']],
    ['on what is due where a year is over', [{ isOver: true }], [{}], ['bpd_1 at 200 of 2026-11, at last']],
    [
      'with all that waits for the same invoice',
      [
        { ...consolidated, goesOn: false },
        { ...consolidated, id: 'bpd_2', subscriptionId: 'sub_2' },
      ],
      [{ ...consolidated, subscriptionId: '' }],
      ['bpd_1 at 200 of 2026-11', 'bpd_2 at 200 of 2026-11'],
    ],
    [
      'and waits with another that goes on',
      [
        { ...consolidated, goesOn: false },
        { ...consolidated, id: 'bpd_2', subscriptionId: 'sub_2' },
      ],
      [],
      [],
    ],
    [
      'before what takes it back',
      [{ isAdvance: true }, { id: 'bpd_2' }],
      [{ creditedIds: new Set(['sub_1']) }],
      ['bpd_1 at 100 of 2026-11, at last', 'bpd_2 at 100 of 2026-11, at last'],
    ],
    [
      'beside what takes back something else',
      [{ isAdvance: true }],
      [{ creditedIds: new Set(['sub_2']) }],
      ['bpd_1 at 200 of 2026-11'],
    ],
  ])('is %s', (_, periods, invoices, expected) => {
    expect(placed(periods, ...invoices)).toEqual(expected);
  });
});
