import { describe, expect, it } from 'vitest';
import {
  type AmendmentInStream,
  billedChanges,
  type InvoicedPeriod,
} from '../../../../invoicer/invoices/billed-changes.ts';

const invoice: InvoicedPeriod = {
  invoiceId: 'inv_1',
  subscriptionId: 'sub_1',
  customers: ['cus_1', 'ext'],
  period: { start: 100, end: 200 },
  watermark: 50n,
};
const amendment = (
  sequence: bigint | undefined,
  ...events: [effect: 'removed' | 'added', customer: string, occurredAt: number][]
): AmendmentInStream => ({
  id: `amd_${sequence}`,
  sequence,
  events: events.map(([effect, customer, occurredAt]) => ({ effect, customer, occurredAt })),
});
const changed = (...amendments: AmendmentInStream[]) =>
  billedChanges([invoice], amendments, 100n).map(({ amendmentId }) => amendmentId);

describe('[I15] an amendment of a billed period', () => {
  it.each([
    ['at the watermark is in the invoice', 50n, []],
    ['right behind the watermark is not', 51n, ['amd_51']],
    ['at the end of the delta is in it', 100n, ['amd_100']],
    ['behind the end of the delta is in the next', 101n, []],
    ['on its way is listed, as nobody knows its place yet', undefined, ['amd_undefined']],
  ] as const)('%s', (_, sequence, expected) => {
    expect(changed(amendment(sequence, ['removed', 'ext', 150]))).toEqual(expected);
  });

  it.each([
    ['its first instant', 100, true],
    ['its last', 199, true],
    ['the instant before', 99, false],
    ['its end', 200, false],
  ] as const)('is one by the time of what it takes away or puts there: %s', (_, at, is) => {
    for (const effect of ['removed', 'added'] as const)
      expect(changed(amendment(60n, [effect, 'cus_1', at])).length).toBe(is ? 1 : 0);
  });

  it('is none of it where another customer or time is amended, and names the events of the period alone', () => {
    expect(changed(amendment(60n, ['removed', 'other', 150], ['added', 'ext', 250]))).toEqual([]);
    const [change] = billedChanges([invoice], [amendment(60n, ['removed', 'ext', 150], ['added', 'other', 150])], 100n);
    expect(change).toEqual({
      invoiceId: 'inv_1',
      amendmentId: 'amd_60',
      sequence: 60n,
      events: [{ effect: 'removed', customer: 'ext', occurredAt: 150 }],
    });
  });

  it('stands in the order of the stream, those on their way last, and under each invoice that it changes', () => {
    const other = { ...invoice, invoiceId: 'inv_2', watermark: 65n };
    const all = [
      amendment(undefined, ['removed', 'ext', 150]),
      amendment(70n, ['removed', 'ext', 150]),
      amendment(60n, ['added', 'ext', 150]),
    ];
    expect(
      billedChanges([invoice, other], all, 100n).map(({ invoiceId, sequence }) => `${invoiceId} ${sequence}`),
    ).toEqual([...['inv_1 60', 'inv_1 70', 'inv_2 70', 'inv_1 undefined', 'inv_2 undefined']]);
  });
});
