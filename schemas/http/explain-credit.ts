/** Why a line of a credit note gives back what it does, in answers of the API. */
import { Type } from 'typebox';
import { CreditNoteId, Reason } from '#schemas/http/credit-notes.ts';
import { exampleId } from '#schemas/http/example-parts.ts';
import { LineDelta, linePosition } from '#schemas/http/explain.ts';
import { Code, CurrencyCode, closed, Decimal, idOf } from '#schemas/http/fields.ts';
import { invoiceHead, lines } from '#schemas/http/invoice-examples.ts';
import { InvoiceDiscount, InvoiceTax, LineKindName } from '#schemas/http/invoices.ts';

export const CreditNoteLineParams = Type.Object(
  { id: CreditNoteId.properties.id, line: linePosition('credit note') },
  closed,
);

const amounts = {
  amount: { ...Decimal, description: 'As the invoice prints it, before discounts and taxes.' },
  discounts: Type.Array(InvoiceDiscount),
  taxes: Type.Array(InvoiceTax),
  total: { ...Decimal, description: 'The amount less discounts, with the taxes that are added to it.' },
};

const Amounts = Type.Object(amounts, { ...closed, title: 'CreditedAmounts' });

const CorrectedLine = Type.Object(
  {
    position: Type.Integer({ minimum: 1 }),
    kind: LineKindName,
    description: Type.String(),
    rated_line: Type.Union([idOf('rln'), Type.Null()], {
      description: 'What it charges for, with an explanation of its own; null of what no plan charges.',
    }),
    ...amounts,
  },
  { ...closed, title: 'CorrectedLine' },
);

const ChargeDelta = Type.Object(
  {
    charge_code: Code,
    amount: {
      ...Decimal,
      description: 'What the charge comes to now, less what it came to before; without discounts.',
    },
    rated_line: Type.Union([idOf('rln'), Type.Null()], {
      description: 'What the charge is rated as now; null where it is gone, as a minimum that is reached.',
    }),
    ...LineDelta.properties,
  },
  { ...closed, title: 'ChargeDelta' },
);

const CreditedDelta = Type.Object(
  {
    billing_period_id: idOf('bpd'),
    amount: { ...Decimal, description: 'The sum over the charges, which is below zero.' },
    charges: Type.Array(ChargeDelta, {
      description: 'Of the billing period, without those that come to the same.',
    }),
  },
  { ...closed, title: 'CreditedDelta' },
);

const amountsExample = (amount: string) => ({ amount, discounts: [], taxes: [], total: amount });

export const CreditExplanation = Type.Object(
  {
    credit_note_id: idOf('crn'),
    line_position: Type.Integer({ minimum: 1, description: 'On the credit note.' }),
    invoice_id: idOf('inv'),
    currency: CurrencyCode,
    reason: Reason,
    invoice_line: CorrectedLine,
    credited_before: Amounts,
    credited: Amounts,
    given_back: Amounts,
    left: Amounts,
    delta: Type.Union([CreditedDelta, Type.Null()], {
      description: 'The late usage that it gives back; null of what somebody asked for.',
    }),
  },
  {
    ...closed,
    title: 'CreditExplanation',
    description:
      'What the line of the invoice charged (`invoice_line`), what credit notes before this one gave back of it, what this one does, what later invoices give back of it (`given_back`), and what is left.',
    examples: [
      {
        credit_note_id: exampleId('crn', 61),
        line_position: 1,
        invoice_id: invoiceHead.id,
        currency: invoiceHead.currency,
        reason: 'product_unsatisfactory',
        invoice_line: {
          position: 1,
          kind: 'charge',
          description: lines[0]?.description,
          rated_line: exampleId('rln', 62),
          ...amountsExample('9.00'),
        },
        credited_before: amountsExample('0.00'),
        credited: amountsExample('4.00'),
        given_back: amountsExample('0.00'),
        left: amountsExample('5.00'),
        delta: null,
      },
    ],
  },
);
