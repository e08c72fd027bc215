/** What the gateways answered, and what they found lost of the stream. */
import type { Instant } from '#schemas/period.ts';
import type { Db } from '../route/define-route.ts';

export type AnsweredHour = {
  readonly hourMs: Instant;
  readonly received: bigint;
  readonly accepted: bigint;
  readonly repeated: bigint;
  readonly duplicates: bigint;
  readonly conflicts: bigint;
  readonly rejected: bigint;
  readonly notFinal: bigint;
};

/** A process that neither ended in good order nor reported lately. */
export type UnreportedGateway = { readonly id: string; readonly reportedAt: Instant };

export type StreamLoss = {
  readonly fromSequence: bigint;
  readonly toSequence: bigint;
  readonly detectedAt: Instant;
};

type AnsweredRow = Omit<AnsweredHour, 'hourMs' | 'notFinal'> & { readonly hour: Date; readonly not_final: bigint };
type GatewayRow = { readonly id: string; readonly reported_at: Date };
type LossRow = { readonly from_sequence: bigint; readonly to_sequence: bigint; readonly detected_at: Date };

const fromLossRow = ({ from_sequence, to_sequence, detected_at }: LossRow): StreamLoss => ({
  fromSequence: from_sequence,
  toSequence: to_sequence,
  detectedAt: detected_at.getTime(),
});

/** Whole hours; `from` and `to` lie at their beginnings. */
export type Hours = { readonly from: Date; readonly to: Date };

const answered = `
SELECT hour, sum(received)::bigint AS received, sum(accepted)::bigint AS accepted, sum(repeated)::bigint AS repeated,
  sum(duplicates)::bigint AS duplicates, sum(conflicts)::bigint AS conflicts, sum(rejected)::bigint AS rejected,
  sum(not_final)::bigint AS not_final
FROM ingest_counts WHERE organization_id = $1 AND hour >= $2 AND hour < $3 GROUP BY hour ORDER BY hour`;

// A living process reports every 5 s at the latest (ingest/gateway/report-counts.ts), and what it had not reported yet
// was answered within seconds of its last word.
const unreported = `
SELECT id, reported_at FROM ingest_gateways
WHERE ended_at IS NULL AND reported_at < now() - interval '15 seconds'
  AND reported_at >= $1::timestamptz - interval '10 seconds' AND reported_at < $2
ORDER BY reported_at, id LIMIT 100`;

const losses = `
SELECT from_sequence, to_sequence, detected_at FROM stream_losses
WHERE stream = $1 AND detected_at >= $2 AND detected_at < $3
ORDER BY detected_at, from_sequence LIMIT 100`;

export const createIngestCounts = (stream: string) => ({
  answeredHours: async (db: Db, { from, to }: Hours): Promise<readonly AnsweredHour[]> => {
    const { rows } = await db.query<AnsweredRow>(answered, [db.organizationId, from, to]);
    return rows.map(({ hour, not_final: notFinal, ...counts }) => ({ ...counts, hourMs: hour.getTime(), notFinal }));
  },
  unreportedGateways: async (db: Db, { from, to }: Hours): Promise<readonly UnreportedGateway[]> => {
    const { rows } = await db.query<GatewayRow>(unreported, [from, to]);
    return rows.map(({ id, reported_at }) => ({ id, reportedAt: reported_at.getTime() }));
  },
  losses: async (db: Db, { from, to }: Hours): Promise<readonly StreamLoss[]> => {
    const { rows } = await db.query<LossRow>(losses, [stream, from, to]);
    return rows.map(fromLossRow);
  },
});

export type IngestCounts = ReturnType<typeof createIngestCounts>;
