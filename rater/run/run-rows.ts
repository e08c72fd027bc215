/** Billing runs as statements that cut them read them. Pure. */
import type { RunKind } from '#schemas/billing-run.ts';
import { monthNameOf } from '#schemas/period.ts';

export type RunRow = {
  id: string;
  organization_id: string;
  kind: RunKind;
  /** `running` once a step of it has cut something. */
  state: 'queued' | 'running';
  /** Null, as the end is, of a run of what is due. */
  period_start: Date | null;
  due_until: Date | null;
  arrears_until: Date | null;
  test_clock_id: string | null;
  asked_by: string;
  draft_id: string | null;
  drafts_only: boolean;
  subscriptions_max: number | null;
  customer_id: string | null;
  subscription_id: string | null;
  watermark: bigint | null;
  request_id: string | null;
  created_at: Date;
  attempts: number;
};

/** The month that a run is of. */
export const monthOfRun = (run: RunRow): string => monthNameOf(run.period_start?.getTime() ?? 0);

/** What a step of a run found: all of it, or as many subscriptions as one step takes. */
export type Cut = {
  readonly freshIds: readonly string[];
  /** Of those that were carried over before. */
  readonly carriedIds: readonly string[];
  /** Of billed periods. */
  readonly deltaIds: readonly string[];
  readonly isLast: boolean;
};
