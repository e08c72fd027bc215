/** Late usage of billed periods in answers. */
import { Type } from 'typebox';
import { Code, CurrencyCode, closed, Decimal, Instant, idOf, nullable, Period } from '#schemas/http/fields.ts';
import { LateUsagePolicy } from '#schemas/http/plan-terms.ts';
import { lateUsageStates } from '#schemas/late-usage.ts';

const Difference = Type.Object(
  {
    charge_code: Code,
    quantity_before: Decimal,
    quantity_now: Decimal,
    amount_before: Decimal,
    amount_now: Decimal,
    amount: { ...Decimal, description: 'What is due more, or less, without taxes.' },
  },
  { ...closed, title: 'LateUsageDifference' },
);

const example = {
  billing_period_id: 'bpd_01a1b2c3d4000123456789abcdef0123',
  invoice_id: 'inv_01a1b2c3d4e57f00a1b2c3d4e5f60718',
  customer_id: 'cus_01a1b2c3d4e57f00a1b2c3d4e5f60718',
  subscription_id: 'sub_01a1b2c3d4e57f00a1b2c3d4e5f60718',
  plan_version_id: 'plv_01a1b2c3d4e57f00a1b2c3d4e5f60718',
  period: { start: '2026-10-01T00:00:00.000Z', end: '2026-11-01T00:00:00.000Z' },
  state: 'billed',
  late_usage: 'bill_next',
  delta_billing_period_id: 'bpd_01a1b2c3d4000123456789abcdef4567',
  delta_invoice_id: 'inv_01a1b2c3d4e57f00a1b2c3d4e5f60719',
  credit_note_ids: [],
  watermark: '184467',
  currency: 'USD',
  amount: '2.80',
  differences: [
    {
      charge_code: 'calls',
      quantity_before: '3',
      quantity_now: '13',
      amount_before: '3.00',
      amount_now: '5.80',
      amount: '2.80',
    },
  ],
  created_at: '2026-12-01T01:00:00.000Z',
};

export const LateUsage = Type.Object(
  {
    billing_period_id: { ...idOf('bpd'), description: 'The billing period that was billed before.' },
    invoice_id: { ...idOf('inv'), description: 'The invoice that billed it.' },
    customer_id: idOf('cus'),
    subscription_id: idOf('sub'),
    plan_version_id: idOf('plv'),
    period: Period,
    state: Type.Enum([...lateUsageStates], {
      title: 'LateUsageState',
      description:
        '`waiting` for the next invoice of whoever was billed; `open`: a run, or a draft, has it, or it was rated and waits for the next invoice; `billed` on an invoice; `credited` by credit notes; `unchanged`: nothing is due for it; `reported` and billed by nobody.',
    }),
    late_usage: LateUsagePolicy,
    delta_billing_period_id: Type.Union([idOf('bpd'), Type.Null()], {
      description: 'The delta, by the id of its lines; null while it waits.',
    }),
    delta_invoice_id: Type.Union([idOf('inv'), Type.Null()], { description: 'The invoice that bills the delta.' }),
    credit_note_ids: Type.Array(idOf('crn'), {
      description: 'The credit notes that give the delta back, one for each invoice that billed some of it.',
    }),
    watermark: nullable(Type.String({ pattern: '^[0-9]+$', description: 'Up to which sequence it counts.' })),
    currency: CurrencyCode,
    amount: Type.Union([Decimal, Type.Null()], {
      description: 'The sum of the differences; null before it is rated.',
    }),
    differences: Type.Array(Difference, { description: 'By charge; without those that come to the same.' }),
    created_at: { ...Instant, description: 'When it was found that it waits, or when the delta was made of it.' },
  },
  { ...closed, title: 'LateUsageOfPeriod', examples: [example] },
);
