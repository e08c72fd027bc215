import { describe, expect, it } from 'vitest';
import { InvoiceState } from '#schemas/invoice.ts';
import { changeInvoiceState } from '../../../../invoicer/invoices/invoice-state.ts';

const states = Object.values(InvoiceState);
const allowed = [
  'draft issued',
  'issued partly_paid',
  'issued paid',
  'issued uncollectible',
  'issued voided',
  'partly_paid paid',
  'partly_paid uncollectible',
  'uncollectible paid',
  'uncollectible voided',
];

describe('invoice states', () => {
  it.each(states.flatMap((from) => states.map((to) => [from, to] as const)))(
    '[I17] the change %s -> %s is allowed only where the table says so',
    (from, to) => {
      const change = changeInvoiceState(from, to);
      expect(change.ok).toBe(allowed.includes(`${from} ${to}`));
      if (change.ok) expect(change.state).toBe(to);
      else
        expect(change).toMatchObject({
          code: 'invoice_state_conflict',
          message: expect.stringContaining(`is ${from} and can't become ${to}`),
        });
    },
  );

  it('a rejection says what would be possible', () => {
    expect(changeInvoiceState('draft', 'paid')).toMatchObject({
      message: "the invoice is draft and can't become paid; it can become issued",
    });
    expect(changeInvoiceState('uncollectible', 'partly_paid', true)).toMatchObject({
      message: "the invoice is uncollectible and can't become partly_paid; it can become paid",
    });
    expect(changeInvoiceState('uncollectible', 'voided', true).ok).toBe(false);
    expect(changeInvoiceState('paid', 'voided')).toMatchObject({
      message: "the invoice is paid and can't become voided; it is final",
    });
  });
});
