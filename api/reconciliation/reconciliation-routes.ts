/** `/v1/reconciliation`: what was answered, held against what is stored and what is billed. */
import { FailureError, type Fault } from '#schemas/failures.ts';
import { Reconciliation, ReconciliationSpan } from '#schemas/http/reconciliation.ts';
import { formatInstant } from '#schemas/instant.ts';
import { formatPeriod, periodOf } from '#schemas/period.ts';
import type { CatalogStore } from '../catalog/catalog.postgres.ts';
import type { BilledUsage } from '../events/billed-usage.postgres.ts';
import type { Routes } from '../route/define-route.ts';
import { readInstant } from '../route/resource-fields.ts';
import type { ReadWatermark } from '../usage/watermark.postgres.ts';
import { gatherEvidence } from './gather-evidence.ts';
import type { IngestCounts } from './ingest-counts.postgres.ts';
import { reconcile } from './reconcile.ts';
import type { StoredUsage } from './stored-usage.clickhouse.ts';
import type { StreamSays } from './stream-state.nats.ts';

export type ReconciliationPorts = {
  readonly ingestCounts: IngestCounts;
  readonly storedUsage: StoredUsage;
  readonly billedUsage: BilledUsage;
  readonly catalog: CatalogStore;
  readonly readWatermark: ReadWatermark;
  readonly streamSays: (isCallerThere: () => boolean) => Promise<StreamSays>;
};

const hourMs = 3_600_000;
const spanMsDefault = 24 * hourMs;
const spanMsMax = 31 * 24 * hourMs;

/** The whole hours that hold the span; throws `BAD_REQUEST`. */
const hoursOf = (query: { from?: string; to?: string }, nowMs: number) => {
  const faults: Fault[] = [];
  const to = readInstant(query.to, 'to', faults) ?? nowMs + 1;
  const from = readInstant(query.from, 'from', faults) ?? to - spanMsDefault;
  if (faults.length === 0 && from >= to)
    faults.push({ field: 'from', code: 'not_increasing', message: 'must be before to' });
  if (to - from > spanMsMax)
    faults.push({ field: 'to', code: 'out_of_range', message: 'must be at most 31 days after from' });
  if (faults.length > 0) throw new FailureError('BAD_REQUEST', undefined, faults);
  return { from: new Date(Math.floor(from / hourMs) * hourMs), to: new Date(Math.ceil(to / hourMs) * hourMs) };
};

export const reconciliationRoutes = (
  { get }: Routes,
  { ingestCounts, storedUsage, billedUsage, catalog, readWatermark, streamSays }: ReconciliationPorts,
): void => {
  get(
    {
      url: '/v1/reconciliation',
      operation: 'getReconciliation',
      tag: 'Reconciliation',
      summary: 'Hold what was answered to events against what is stored and what is billed, by hour of receipt',
      scope: 'read:usage',
      query: ReconciliationSpan,
      answers: { 200: Reconciliation },
      failures: [],
    },
    async ({ db, query, nowMs, isCallerThere }) => {
      const hours = hoursOf(query, nowMs);
      const ports = {
        ingestCounts,
        storedUsage,
        billedUsage,
        catalog,
        readWatermark,
        isCallerThere,
        streamSays: () => streamSays(isCallerThere),
      };
      const evidence = await gatherEvidence(ports, db, hours);
      const { total, hours: reconciled } = reconcile(evidence);
      const unreported = await ingestCounts.unreportedGateways(db, hours);
      const losses = await ingestCounts.losses(db, hours);
      const storedMessages = await storedUsage.ofLosses(db.organizationId, losses);
      return {
        period: formatPeriod(periodOf(hours.from.getTime(), hours.to.getTime())),
        is_settled: evidence.isSettled,
        is_balanced: total.is_balanced,
        watermark: evidence.watermark.toString(),
        total,
        hours: reconciled.map(({ hourMs: hour, ...stages }) => ({ hour: formatInstant(hour), ...stages })),
        unreported_gateways: unreported.map(({ id, reported_at }) => ({ id, reported_at: formatInstant(reported_at) })),
        losses: losses.map((loss, index) => ({
          from_sequence: loss.from_sequence.toString(),
          to_sequence: loss.to_sequence.toString(),
          detected_at: formatInstant(loss.detected_at),
          stored_messages: storedMessages[index] ?? 0,
        })),
        dead_letters: evidence.deadLetters ?? null,
      };
    },
  );
};
