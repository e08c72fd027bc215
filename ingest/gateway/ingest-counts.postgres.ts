/** Writes what a gateway answered, by the one function that its login may call for that. */
import type { Queryable } from '#platform/stores/postgres.ts';
import type { ReportPorts } from './report-counts.ts';

/** `gatewayId` names this start of the process: its totals begin at zero. */
export const createWriteCounts =
  (postgres: Queryable, gatewayId: string, stream: string): ReportPorts['write'] =>
  async (counts, losses, hasEnded) => {
    const countRows = counts.map(({ organizationId, hourMs, notFinal, ...totals }) => ({
      organization_id: organizationId,
      hour: new Date(hourMs),
      not_final: notFinal,
      ...totals,
    }));
    const lossRows = losses.map(({ from, to, detectedAtMs }) => ({
      stream,
      from_sequence: from,
      to_sequence: to,
      detected_at: new Date(detectedAtMs),
    }));
    await postgres.query('SELECT report_ingest($1, $2::jsonb, $3::jsonb, $4)', [
      gatewayId,
      JSON.stringify(countRows),
      JSON.stringify(lossRows),
      hasEnded,
    ]);
  };
