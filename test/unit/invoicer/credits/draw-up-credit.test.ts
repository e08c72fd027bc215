import { describe, expect, it } from 'vitest';
import { lineOfItem } from '#schemas/invoice/one-off.ts';
import { type Amount, formatMinorUnits, parseAmount } from '#schemas/money.ts';
import {
  type CreditableInvoice,
  type CreditedState,
  drawUpCredit,
  stateAfterCredit,
} from '../../../../invoicer/credits/draw-up-credit.ts';

const amount = (text: string): Amount => parseAmount(text) as Amount;
const standing = (state: CreditedState['state'], credited: string, paid: string): CreditedState => ({
  state,
  amountCredited: amount(credited),
  amountPaid: amount(paid),
});

describe('the state of an invoice of 100.00 after a credit', () => {
  it.each([
    ['of a part', 'issued', '0', '0', '40', 'issued'],
    ['of all', 'issued', '0', '0', '100', 'voided'],
    ['of all that was left', 'issued', '60', '0', '40', 'voided'],
    ['of less than is due', 'partly_paid', '0', '70', '20', 'partly_paid'],
    ['of what is due', 'partly_paid', '0', '70', '30', 'paid'],
    ['of more than is due', 'partly_paid', '0', '70', '100', 'paid'],
    ['of what was paid', 'paid', '0', '100', '40', 'paid'],
    ['of all that was paid', 'paid', '0', '100', '100', 'paid'],
    ['of a part of what nobody expects', 'uncollectible', '0', '0', '40', 'uncollectible'],
    ['of all of it', 'uncollectible', '0', '0', '100', 'voided'],
    ['of the rest of it, where something was paid', 'uncollectible', '0', '70', '30', 'paid'],
  ] as const)('%s: %s, %s credited, %s paid, and %s more: %s', (_, state, credited, paid, more, after) => {
    const before = standing(state, credited, paid);
    expect(stateAfterCredit(amount('100'), before, amount(more))).toEqual({
      ...before,
      amountCredited: amount(String(Number(credited) + Number(more))),
      state: after,
    });
  });
});

describe('what of a credit was due still', () => {
  const whole = { description: 'x', quantity: amount('1') as never, unitAmount: null, rounding: 'half_up' as const };
  const item = { ...whole, taxCategory: null };
  const line = lineOfItem(
    { ...item, precise: 0n as never, amount: amount('100'), servicePeriod: { start: 0, end: 1 } },
    1,
  );
  const invoice: CreditableInvoice = {
    id: 'inv_1',
    tenant: 'org_1',
    number: 1,
    documentNumber: 'INV-1',
    hash: 'a'.repeat(64),
    customerId: 'cus_1',
    currency: 'USD',
    issuingEntityId: null,
    seller: null,
    buyerDigest: null,
    lines: [line],
    total: amount('100'),
  };
  it.each([
    ['nothing was paid', '0', '0', '60', '60.00', '0.00', null],
    ['some was paid, and more is due', '0', '40', '60', '60.00', '0.00', null],
    ['more is credited than is due', '0', '70', '60', '30.00', '30.00', 'refund'],
    ['all was paid', '0', '100', '60', '0.00', '60.00', 'refund'],
    ['some was credited before', '20', '70', '30', '10.00', '20.00', 'refund'],
  ])('where %s', (_, credited, paid, asked, pre, post, settlement) => {
    const before = standing('partly_paid', credited, paid);
    const note = drawUpCredit(
      invoice,
      new Map(),
      before,
      { kind: 'amount', amount: amount(asked) },
      {
        reason: 'other',
        memo: null,
        settlement: 'refund',
      },
    );
    expect([note.prePaymentAmount, note.postPaymentAmount].map((one) => formatMinorUnits(one, 'USD'))).toEqual([
      pre,
      post,
    ]);
    expect(note.settlement).toBe(settlement);
  });
});
