/** `/v1/invoices/preview`. */
import { FailureError, type Fault } from '#schemas/failures.ts';
import { InvoicePreview, InvoicePreviewAsked } from '#schemas/http/invoice-previews.ts';
import { formatInstant } from '#schemas/instant.ts';
import { linesToJson, periodsToJson } from '#schemas/invoice/content-3.ts';
import { termsToJson } from '#schemas/invoice/content-4.ts';
import { lineToJson } from '#schemas/invoice/content-5.ts';
import { formatMinorUnits } from '#schemas/money.ts';
import type { Instant } from '#schemas/period.ts';
import { hourOf } from '#schemas/subscription-state.ts';
import type { CustomerStore } from '../customers/customers.postgres.ts';
import type { Db, Routes } from '../route/define-route.ts';
import { found, readInstant, refuseFaults } from '../route/resource-fields.ts';
import { carryToJson, totalsToJson } from '../route/totals-json.ts';
import type { InvoiceAhead } from '../subscription-views/draw-up-invoices.ts';
import type { Subscription, SubscriptionStore } from '../subscriptions/subscriptions.postgres.ts';
import type { BilledWith } from './billed-with.postgres.ts';
import { type PreviewPorts, previewInvoices } from './preview-invoice.ts';

export type InvoicePreviewPorts = PreviewPorts & {
  readonly subscriptions: Pick<SubscriptionStore, 'subscription' | 'subscriptionsById'>;
  readonly customers: Pick<CustomerStore, 'payer'>;
  readonly billedWith: Pick<BilledWith, 'billedSubscriptions'>;
};

const aheadMsMax = 366 * 86_400_000;

const previewJson = (ahead: InvoiceAhead) => {
  const { dueAt, content, failures } = ahead;
  const { currency, customerId, lines, subtotal } = content;
  return {
    due_at: formatInstant(dueAt),
    customer_id: customerId,
    ...termsToJson(content),
    currency,
    periods: periodsToJson(content),
    lines: linesToJson(
      content,
      lines.map((line) => lineToJson(line, content)),
    ),
    subtotal: formatMinorUnits(subtotal, currency),
    ...totalsToJson(content, currency),
    ...carryToJson(ahead, currency),
    failures: failures.map(({ subscriptionId, message }) => ({ subscription_id: subscriptionId, message })),
  };
};

export const invoicePreviewRoutes = ({ ask }: Routes, ports: InvoicePreviewPorts): void => {
  const { subscriptions, customers, billedWith } = ports;

  /** Of which subscriptions, and at which hour. */
  const asked = async (
    db: Db,
    body: { readonly customer_id?: string; readonly subscription_id?: string },
    nowMs: Instant,
  ): Promise<{ readonly of: readonly Subscription[]; readonly now: Instant }> => {
    if ((body.customer_id === undefined) === (body.subscription_id === undefined)) {
      const message = 'must be there, or subscription_id, and not both';
      throw new FailureError('VALIDATION_FAILED', undefined, [{ field: 'customer_id', code: 'missing', message }]);
    }
    if (body.subscription_id !== undefined) {
      const one = found(await subscriptions.subscription(db, body.subscription_id), 'SUBSCRIPTION_NOT_FOUND');
      return { of: [one], now: hourOf(one, nowMs) };
    }
    const customer = found(await customers.payer(db, body.customer_id ?? ''), 'CUSTOMER_NOT_FOUND');
    const of = await subscriptions.subscriptionsById(db, await billedWith.billedSubscriptions(db, customer.id));
    return { of, now: customer.clock?.now ?? nowMs };
  };

  ask(
    {
      url: '/v1/invoices/preview',
      operation: 'previewInvoices',
      tag: 'Invoices',
      summary: 'What the next invoices of a customer or a subscription would be, as of now',
      scope: 'read:invoices',
      body: InvoicePreviewAsked,
      answers: { 200: InvoicePreview },
      failures: ['CUSTOMER_NOT_FOUND', 'SUBSCRIPTION_NOT_FOUND'],
    },
    async ({ db, body, nowMs }) => {
      const { of, now } = await asked(db, body, nowMs);
      const faults: Fault[] = [];
      const at = readInstant(body.at, 'at', faults);
      if (at !== undefined && at > now + aheadMsMax)
        faults.push({ field: 'at', code: 'out_of_range', message: 'must be at most a year ahead' });
      refuseFaults(faults);
      const { watermark, invoices } = await previewInvoices(ports, db, of, at, now);
      return { as_of: formatInstant(now), watermark: watermark.toString(), invoices: invoices.map(previewJson) };
    },
  );
};
