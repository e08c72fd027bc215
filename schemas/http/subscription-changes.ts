/** What subscriptions are billed for changes: in requests, and as the ledger of changes tells it. */
import { Type } from 'typebox';
import { addOnQuantityMax } from '#schemas/add-on.ts';
import { partTimings } from '#schemas/due-parts.ts';
import { exampleCreatedAt, exampleId } from '#schemas/http/example-parts.ts';
import {
  Code,
  CurrencyCode,
  closed,
  Decimal,
  GivenInstant,
  Instant,
  idOf,
  nullable,
  Period,
} from '#schemas/http/fields.ts';
import { carryExample, carryFields, totalsExample, totalsFields } from '#schemas/http/invoices.ts';
import { changeBillings, pausedUsages, subscriptionChangeKinds } from '#schemas/subscription-terms.ts';

export const seatsMax = 1_000_000;

const ledgerEntryExample = {
  id: exampleId('chg', 40),
  kind: 'seats',
  effective_at: '2026-12-01T00:00:00.000Z',
  invoice: 'next',
  plan_id: null,
  plan_code: null,
  plan_version_id: null,
  quantity: 5,
  usage: null,
  created_at: exampleCreatedAt,
  undone_at: null,
};

const Invoice = Type.Enum([...changeBillings], {
  title: 'ChangeInvoice',
  description:
    'When what was charged in advance is put right: `next`, the default, with the end of the billing period; `now`, as soon as the change takes effect. What the change does to the charges is the same.',
});

export const PausedUsageName = Type.Enum([...pausedUsages], {
  title: 'PausedUsage',
  description:
    'What becomes of usage in a pause, which is billed by nothing either way: `unbilled`, the default, leaves entitlements as they are; `refused` takes them.',
});

export const LedgerEntry = Type.Object(
  {
    id: idOf('chg'),
    kind: Type.Enum([...subscriptionChangeKinds], { title: 'SubscriptionChangeKind' }),
    effective_at: Instant,
    invoice: Invoice,
    plan_id: nullable(
      Type.Unsafe<string>({ ...idOf('pln'), description: 'Of `plan` the new plan, of `add_on` the add-on.' }),
    ),
    plan_code: nullable(Code),
    plan_version_id: nullable(idOf('plv')),
    quantity: nullable(
      Type.Integer({
        minimum: 0,
        description: 'How many seats there are from then on, or how often the add-on is taken.',
      }),
    ),
    usage: nullable(PausedUsageName),
    created_at: Instant,
    undone_at: nullable(Type.Unsafe<string>({ ...Instant, description: 'It was taken back before it took effect.' })),
  },
  { ...closed, title: 'SubscriptionLedgerEntry', examples: [ledgerEntryExample] },
);

const at = (byDefault: string) =>
  Type.Optional(
    Type.String({
      maxLength: 64,
      description: `\`now\`, \`period_end\` (the end of the current billing period), or an instant that is not past. ${byDefault}`,
      examples: ['now'],
    }),
  );
/** One that has not begun is changed with its begin. */
const nowByDefault = 'The default is now.';
const invoice = Type.Optional(Invoice);

export const PlanChange = Type.Object(
  {
    plan: Type.Unsafe<string>({ ...Code, description: 'Code or id of a plan; its active version is taken.' }),
    at: at(nowByDefault),
    invoice,
  },
  { ...closed, title: 'SubscriptionPlanChange', examples: [{ plan: 'llm-team', at: 'now' }] },
);

export const SeatsChange = Type.Object(
  {
    quantity: Type.Optional(
      Type.Integer({ minimum: 1, maximum: seatsMax, description: 'How many there are from then on.' }),
    ),
    change: Type.Optional(
      Type.Integer({
        minimum: -seatsMax,
        maximum: seatsMax,
        description:
          'Instead of `quantity`: how many more, or, as a negative number, fewer. Later changes move by it too.',
      }),
    ),
    at: at('The default is now for more seats, and `period_end` for fewer: they are kept, and paid, until then.'),
    invoice,
  },
  { ...closed, title: 'SubscriptionSeatsChange', examples: [{ change: 3, invoice: 'now' }] },
);

export const AddOnChange = Type.Object(
  {
    plan: Type.Unsafe<string>({ ...Code, description: 'Code or id of a plan of the kind add_on.' }),
    quantity: Type.Integer({
      minimum: 0,
      maximum: addOnQuantityMax,
      description: 'How many times it is taken from then on; 0 ends it.',
    }),
    at: at(nowByDefault),
    invoice,
  },
  { ...closed, title: 'SubscriptionAddOnChange', examples: [{ plan: 'more-storage', quantity: 2 }] },
);

export const SubscriptionPause = Type.Object(
  {
    at: at(nowByDefault),
    usage: Type.Optional(PausedUsageName),
    resumes_at: Type.Optional(GivenInstant),
    invoice,
  },
  { ...closed, title: 'SubscriptionPause', examples: [{ usage: 'refused', resumes_at: '2027-01-01T00:00:00Z' }] },
);

export const SubscriptionResumption = Type.Object(
  { at: at(nowByDefault), invoice },
  { ...closed, title: 'SubscriptionResumption', examples: [{ at: 'now' }] },
);

export const PreviewedLine = Type.Object(
  {
    charge_code: Type.String(),
    description: Type.String(),
    plan_code: Code,
    timing: Type.Enum([...partTimings], {
      title: 'ChargedTiming',
      description: 'A `credit` takes back what was charged in advance; `once` is of no billing period.',
    }),
    quantity: Decimal,
    amount: Decimal,
    period: Period,
    due_at: Instant,
  },
  { ...closed, title: 'PreviewedLine' },
);

export const previewedLineExample = {
  charge_code: 'seats',
  description: 'Seats',
  plan_code: 'llm-team',
  timing: 'advance',
  quantity: '8',
  amount: '40.00',
  period: { start: '2026-11-16T00:00:00.000Z', end: '2026-12-01T00:00:00.000Z' },
  due_at: '2026-11-16T00:00:00.000Z',
};
const lines = Type.Array(PreviewedLine);

export const Unknown = Type.Object(
  { plan_code: Code, period: Period, message: Type.String() },
  { ...closed, title: 'UpcomingUnknown', description: 'What can not be rated as things stand, and why.' },
);

export const InvoiceAhead = Type.Object(
  { due_at: Instant, lines, subtotal: Decimal, ...totalsFields, ...carryFields },
  {
    ...closed,
    title: 'InvoiceAhead',
    description:
      'All that a subscription is billed when this falls due, but for usage, with the discounts and taxes of then.',
  },
);
const changeInvoiceExample = {
  due_at: previewedLineExample.due_at,
  lines: [previewedLineExample],
  subtotal: '40.00',
  ...totalsExample('40.00'),
  ...carryExample,
};
const sideFields = {
  lines,
  total: Type.Unsafe<string>({ ...Decimal, description: 'Of these lines, without discounts and taxes.' }),
  invoices: nullable(
    Type.Array(InvoiceAhead, {
      description:
        'Of each instant at which the change makes a difference. Null where more than 2,000 billing periods fall due until then.',
    }),
  ),
};

/** What `?preview=true` answers. */
export const ChangePreview = Type.Object(
  {
    effective_at: Instant,
    currency: CurrencyCode,
    ...sideFields,
    instead_of: Type.Object(sideFields, {
      ...closed,
      title: 'PreviewedInstead',
      description: 'What would be charged without the change, and is not with it.',
    }),
    unknown: Type.Array(Unknown, { description: 'It is in no sum.' }),
  },
  {
    ...closed,
    title: 'SubscriptionChangePreview',
    description:
      'What the change would charge and credit in the billing periods that hold it: flat charges, and those of seats and add-ons. Usage is no part of it.',
    examples: [
      {
        effective_at: previewedLineExample.due_at,
        currency: 'USD',
        lines: [previewedLineExample],
        total: '40.00',
        invoices: [changeInvoiceExample],
        instead_of: { lines: [], total: '0.00', invoices: [] },
        unknown: [],
      },
    ],
  },
);

export const UndoneChange = Type.Object(
  { change_id: idOf('chg') },
  { ...closed, title: 'UndoneSubscriptionChange', examples: [{ change_id: ledgerEntryExample.id }] },
);
