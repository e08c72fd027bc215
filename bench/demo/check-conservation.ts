/** The last stage of the demo: what the gateways answered is what the store holds. */
import type { Client } from './millrace-client.ts';

/** As `GET /v1/reconciliation` gives it. */
export type Stages = {
  readonly received: number;
  readonly accepted: number;
  readonly repeated: number;
  readonly duplicates: number;
  readonly conflicts: number;
  readonly rejected: number;
  readonly not_final: number;
  readonly published: number;
  readonly distinct: number;
  readonly twins_removed: number;
  readonly unanswered: number;
  readonly missing: number;
  readonly is_balanced: boolean;
};

type Reconciliation = { readonly is_settled: boolean; readonly total: Stages };

const waitMsMax = 30_000;

export const readStages = async (client: Client, fromMs: number): Promise<Reconciliation> =>
  client.get<Reconciliation>(`/v1/reconciliation?from=${new Date(fromMs).toISOString()}`);

/** Waits until the gateways have written down what they answered. Throws where the stages do not add up. */
export const checkConservation = async (client: Client, fromMs: number, receivedMin: number): Promise<Stages> => {
  for (const begin = performance.now(); ; await new Promise((resolve) => setTimeout(resolve, 100))) {
    const { is_settled, total } = await readStages(client, fromMs);
    if (is_settled && total.received >= receivedMin && total.is_balanced) return total;
    if (performance.now() - begin > waitMsMax)
      throw new Error(`what was answered is not what is stored: ${JSON.stringify(total)}`);
  }
};

/** One line; the sums hold. */
export const conservationLine = (stages: Stages): string => {
  const answers = [
    `${stages.accepted} accepted + ${stages.duplicates} duplicates + ${stages.conflicts} conflicts`,
    `${stages.rejected} rejected + ${stages.not_final} sent again`,
  ].join(' + ');
  return `Conservation: ${stages.received} received = ${answers}; ${stages.published} published = ${stages.distinct} distinct + ${stages.twins_removed} twins removed; ${stages.missing} missing.`;
};
