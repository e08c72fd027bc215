/**
 * The use case of asking for a billing run: of a month that is over, or of all that is due now, and for whom. The run
 * itself is the rater's and the invoicer's.
 */
import type { Db } from '../route/define-route.ts';
import { type AskedScope, endedMonth, type RunScopePorts, whomOf } from '../runs/run-scope.ts';
import type { NewRun } from '../runs/runs.postgres.ts';
import type { BillingRun } from './invoices.postgres.ts';

export type AskForRunPorts = RunScopePorts & {
  readonly invoices: { readonly addRun: (db: Db, run: NewRun, now: Date) => Promise<BillingRun> };
};

type Asked = AskedScope & {
  /** A month, such as 2026-10; without one it is all that is due, and no late events are waited for. */
  readonly period?: string;
  readonly requestId: string;
  readonly apiKeyId: string;
};

export const askForRun = async (
  ports: AskForRunPorts,
  db: Db,
  { period: month, requestId, apiKeyId, ...scope }: Asked,
  nowMs: number,
): Promise<BillingRun> => {
  const of = month === undefined ? { until: nowMs, arrearsUntil: nowMs } : endedMonth(month, nowMs);
  const { customerId, subscriptionId } = await whomOf(ports, db, scope);
  const run: NewRun = { kind: 'billing', of, customerId, subscriptionId, watermark: null, requestId, apiKeyId };
  return ports.invoices.addRun(db, run, new Date(nowMs));
};
