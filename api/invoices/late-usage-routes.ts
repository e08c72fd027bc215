/** `/v1/late-usage`. */
import { LateUsage } from '#schemas/http/late-usage.ts';
import { formatInstant } from '#schemas/instant.ts';
import { formatMinorUnits, sumAmounts } from '#schemas/money.ts';
import { formatPeriod } from '#schemas/period.ts';
import { formatQuantity } from '#schemas/quantity.ts';
import type { Routes } from '../route/define-route.ts';
import { listJson, listSchema } from '../route/lists.ts';
import type { LateUsageReader, LateUsageRow } from './late-usage.postgres.ts';

export type LateUsagePorts = { readonly lateUsage: LateUsageReader };

const differencesJson = ({ deltas = [], currency }: LateUsageRow) =>
  deltas.map(({ line, quantityBefore, quantityNow, amountBefore, amountNow, amount }) => ({
    charge_code: line.chargeCode,
    quantity_before: formatQuantity(quantityBefore),
    quantity_now: formatQuantity(quantityNow),
    amount_before: formatMinorUnits(amountBefore, currency),
    amount_now: formatMinorUnits(amountNow, currency),
    amount: formatMinorUnits(amount, currency),
  }));

const lateUsageJson = (row: LateUsageRow) => ({
  billing_period_id: row.billingPeriodId,
  invoice_id: row.invoiceId,
  customer_id: row.customerId,
  subscription_id: row.subscriptionId,
  plan_version_id: row.planVersionId,
  period: formatPeriod(row.span),
  state: row.state,
  late_usage: row.lateUsage,
  delta_billing_period_id: row.deltaId,
  delta_invoice_id: row.billedBy,
  credit_note_ids: row.creditNoteIds,
  watermark: row.watermark?.toString() ?? null,
  currency: row.currency,
  amount: row.deltas ? formatMinorUnits(sumAmounts(row.deltas.map(({ amount }) => amount)), row.currency) : null,
  differences: differencesJson(row),
  created_at: formatInstant(row.createdAt),
});

export const lateUsageRoutes = ({ list }: Routes, ports: LateUsagePorts): void =>
  list(
    {
      url: '/v1/late-usage',
      operation: 'listLateUsage',
      tag: 'Invoices',
      summary: 'List billed periods whose usage came late or was amended, and what became of it',
      scope: 'read:invoices',
      list: ports.lateUsage.lateUsageList,
      answers: { 200: listSchema(LateUsage) },
      failures: [],
    },
    async ({ db, query }) => listJson(query, await ports.lateUsage.lateUsage(db, query), lateUsageJson),
  );
