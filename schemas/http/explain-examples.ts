/** What explanations look like: of the second line of the invoice in `examples.ts`. */

type Tour = {
  readonly id: string;
  readonly invoice: {
    readonly id: string;
    readonly watermark: string;
    readonly currency: string;
    readonly customer_id: string;
    readonly subscription_id: string;
    readonly plan_version_id: string;
  };
  readonly line: {
    readonly billing_period_id: string;
    readonly position: number;
    readonly quantity: string;
    readonly amount: string;
    readonly steps: object;
  };
  readonly charge: { readonly code: string; readonly name: string; readonly meter: string; readonly price: object };
  readonly customers: readonly string[];
  readonly meter: { readonly id: string; readonly version_number: number; readonly definition: object };
  readonly period: { readonly start: string; readonly end: string };
  readonly event: object;
};

const hash = (digit: string): string => digit.repeat(64);

export const explainExamples = ({ id, invoice, line, charge, customers, meter, period: span, event }: Tour) => {
  const { watermark, currency, subscription_id, customer_id, plan_version_id } = invoice;
  const names = { billing_period_id: line.billing_period_id, subscription_id, customer_id, plan_version_id };
  const measured = {
    meter: charge.meter,
    meter_version_id: meter.id,
    customers,
    quantity: line.quantity,
    unmeasured_events: '0',
  };
  const rounding = 'half_up';
  const position = line.position;
  return {
    Explanation: {
      id,
      rated_at: '2026-11-01T08:00:00.000Z',
      invoice_id: invoice.id,
      line_position: position,
      discounts: [],
      credited_before: null,
      input: {
        ...names,
        position,
        charge,
        currency,
        rounding_policy: { rounding },
        span,
        watermark,
        measured: [measured],
      },
      output: {
        ...names,
        span,
        position,
        charge_code: charge.code,
        charge_name: charge.name,
        model: 'per_unit',
        meter: charge.meter,
        currency,
        rounding,
        quantity: line.quantity,
        billable_quantity: '249000',
        precise_amount: line.amount,
        amount: line.amount,
        steps: line.steps,
      },
      hashes: { version: 1, input: hash('4'), output: hash('5'), is_as_rated: true },
      tiers: [],
      query: {
        meter: charge.meter,
        meter_version: meter.version_number,
        meter_version_id: meter.id,
        definition: meter.definition,
        customers,
        span,
        reads_before: false,
        watermark,
      },
      events: { count: '1', content_hash: hash('6'), url: `/v1/rated-lines/${id}/explain/events` },
      delta: null,
    },
    LineEventPage: {
      rated_line_id: id,
      watermark,
      items: [{ ...event, digest: '8'.repeat(32), value: line.quantity }],
      pagination: { page_size: 1, has_more: false, next_cursor: null },
    },
    '/v1/rated-lines/:id': id,
    '/v1/credit-notes/:id/line-items/:line': '1',
    '/v1/invoices/:id/line-items/:line': `${position}`,
  };
};
