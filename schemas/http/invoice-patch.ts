/** Changes of invoices in requests: of a draft what it says, of an issued invoice what happens to it. */
import { type Static, Type } from 'typebox';
import { closed } from '#schemas/http/fields.ts';
import { FinalizeAt, OneOffLines, said } from '#schemas/http/invoice-drafts.ts';
import { Invoice } from '#schemas/http/invoices.ts';
import { InvoiceState } from '#schemas/invoice.ts';

const ofDraft = ['memo', 'purchase_order', 'custom_fields', 'finalize_at', 'lines'] as const;

export const InvoicePatch = Type.Object(
  {
    ...said,
    finalize_at: Type.Optional(FinalizeAt),
    lines: Type.Optional(
      Type.Unsafe<Static<typeof OneOffLines>>({
        ...OneOffLines,
        description: 'Of the draft of a one-off invoice: all of its lines, in the place of those that it has.',
      }),
    ),
    state: Type.Optional(
      Type.Enum(Object.values(InvoiceState), {
        title: 'InvoiceStateAsked',
        description:
          'Of an issued invoice: `partly_paid` (with `amount_paid`), `paid` or `uncollectible`. `voided` comes of a credit note.',
      }),
    ),
    amount_paid: Type.Optional(
      Type.String({
        maxLength: 64,
        description:
          'Of an issued invoice: what was paid of it in all. Without `state` that follows: `partly_paid` or `paid`.',
      }),
    ),
  },
  {
    ...closed,
    title: 'InvoicePatch',
    minProperties: 1,
    description: `A field that is left out stays. ${ofDraft.map((name) => `\`${name}\``).join(', ')} are of a draft, \`state\` and \`amount_paid\` of an issued invoice.`,
    examples: [{ memo: 'Thank you.', purchase_order: 'PO-4711' }],
  },
);

const patchable = Object.keys(InvoicePatch.properties);
const contentNames = Object.keys(Invoice.properties).filter((name) => !patchable.includes(name));

/** As it is read: what an invoice says besides is refused by the route, with what to do instead. */
export const InvoicePatchBody = Type.Unsafe<Static<typeof InvoicePatch>>({
  ...InvoicePatch,
  patternProperties: { [`^(?:${contentNames.join('|')})$`]: {} },
  'x-expected-names': patchable.join(', '),
});

/** What of the body is content of an issued invoice, in its order. */
export const contentOf = (body: object): readonly string[] =>
  Object.keys(body).filter((name) => contentNames.includes(name) || ofDraft.some((one) => one === name));

/** What of the body no request sets, of a draft either. */
export const computedOf = (body: object): readonly string[] =>
  Object.keys(body).filter((name) => contentNames.includes(name));
