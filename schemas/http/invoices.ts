/** Invoices and billing runs in requests and answers. */
import { Type } from 'typebox';
import {
  Code,
  CurrencyCode,
  closed,
  Decimal,
  ExternalId,
  Instant,
  idOf,
  nullable,
  Period,
  RoundingModeName,
} from '#schemas/http/fields.ts';
import { StepKind } from '#schemas/rated-line.ts';

const PriceStep = Type.Object(
  {
    kind: Type.Enum(Object.values(StepKind), { title: 'PriceStepKind' }),
    from: Decimal,
    to: nullable(Decimal),
    units: Decimal,
    priced: Decimal,
    unit_amount: Decimal,
    flat_amount: Decimal,
    amount: Decimal,
  },
  {
    ...closed,
    title: 'PriceStep',
    description: 'How a part of the quantity became an amount; the steps sum to the precise amount of their line.',
  },
);

const InvoiceLine = Type.Object(
  {
    position: Type.Integer({ minimum: 1 }),
    charge_code: Code,
    description: Type.String(),
    meter: nullable(Code),
    quantity: Decimal,
    rounding: RoundingModeName,
    precise_amount: Decimal,
    amount: Decimal,
    steps: Type.Array(PriceStep),
    service_period: Period,
  },
  { ...closed, title: 'InvoiceLine' },
);

const headFields = {
  id: idOf('inv'),
  tenant: idOf('org'),
  number: Type.Integer({ minimum: 1 }),
  watermark: Type.String({ pattern: '^[0-9]+$', description: 'The highest stream sequence that was billed.' }),
  issued_at: Instant,
  kind: Type.Literal('period'),
  subscription_id: idOf('sub'),
  customer_id: idOf('cus'),
  plan_version_id: idOf('plv'),
  currency: CurrencyCode,
  period: Period,
  subtotal: Decimal,
  total: Decimal,
  previous_hash: Type.String({ pattern: '^[0-9a-f]{64}$' }),
  hash: Type.String({ pattern: '^[0-9a-f]{64}$' }),
  state: Type.Literal('issued'),
};

/** Without its lines, for lists. */
export const InvoiceHead = Type.Object(headFields, { ...closed, title: 'InvoiceHead' });
export const Invoice = Type.Object({ ...headFields, lines: Type.Array(InvoiceLine) }, { ...closed, title: 'Invoice' });

export const NewBillingRun = Type.Object(
  {
    period: Type.String({
      pattern: '^[2-9][0-9]{3}-(0[1-9]|1[0-2])$',
      description: 'A month that has ended, from 2000-01 on, such as 2026-10.',
    }),
    customer_id: Type.Optional(ExternalId),
    subscription_id: Type.Optional(ExternalId),
  },
  { ...closed, title: 'NewBillingRun' },
);

export const runStates = ['queued', 'running', 'completed', 'failed'] as const;

export const BillingRun = Type.Object(
  {
    id: idOf('run'),
    period: Period,
    customer_id: nullable(idOf('cus')),
    subscription_id: nullable(idOf('sub')),
    state: Type.Enum([...runStates], { title: 'BillingRunState' }),
    watermark: nullable(Type.String({ pattern: '^[0-9]+$' })),
    invoices_issued: Type.Integer({ minimum: 0 }),
    invoices_already_issued: Type.Integer({ minimum: 0 }),
    unmeasured_events: Type.Integer({ minimum: 0 }),
    rating_ms: Type.Integer({ minimum: 0 }),
    issuing_ms: Type.Integer({ minimum: 0 }),
    failure: nullable(Type.String()),
    created_at: Instant,
    updated_at: Instant,
  },
  { ...closed, title: 'BillingRun' },
);

const waitSeconds = 'Answer when the run has ended, or after so many seconds (0 to 25).';
export const RunWait = Type.Object({ wait_seconds: Type.Optional(Type.String({ pattern: '^([0-9]|1[0-9]|2[0-5])$' })) }, closed);
/** A query is text when it is read; to a caller it is a number. */
export const RunWaitDocument = Type.Object(
  { wait_seconds: Type.Optional(Type.Integer({ minimum: 0, maximum: 25, description: waitSeconds })) },
  closed,
);
