/** `/v1/reconciliation`: what was answered, held against what is stored and what is billed. */
import { Reconciliation, ReconciliationSpan } from '#schemas/http/reconciliation.ts';
import { formatInstant } from '#schemas/instant.ts';
import { formatPeriod, periodOf } from '#schemas/period.ts';
import type { CatalogStore } from '../catalog/catalog.postgres.ts';
import type { BilledUsage } from '../events/billed-usage.postgres.ts';
import type { Routes } from '../route/define-route.ts';
import type { ReadWatermark } from '../usage/watermark.postgres.ts';
import { gatherEvidence } from './gather-evidence.ts';
import { readHours } from './hours-asked.ts';
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
      const hours = readHours(query, nowMs);
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
        unreported_gateways: unreported.map(({ id, reportedAt }) => ({ id, reported_at: formatInstant(reportedAt) })),
        losses: losses.map((loss, index) => ({
          from_sequence: loss.fromSequence.toString(),
          to_sequence: loss.toSequence.toString(),
          detected_at: formatInstant(loss.detectedAt),
          stored_messages: storedMessages[index] ?? 0,
        })),
        dead_letters: evidence.deadLetters ?? null,
      };
    },
  );
};
