/**
 * Simulations: what chosen customers would have been charged by other plans, over time that is past. Shared by the API,
 * which takes them in, and the rater, which works on them.
 */
import { monthOf, type Period } from '#schemas/period.ts';
import type { PlanTermsJson } from '#schemas/plan.ts';

export const simulationCandidatesMax = 10;
export const simulationMonthsMax = 12;
/** Of a simulation; who names them one by one names at most `simulationIdsMax`. */
export const simulationCustomersMax = 20_000;
export const simulationIdsMax = 1_000;
/** Of baseline and candidates together: each may be a question of its own to the store. */
export const simulationChargesMax = 300;
/** Simulations of an organization that are not done. */
export const simulationsOpenMax = 25;

export const simulationStates = ['queued', 'running', 'completed', 'failed', 'cancelled'] as const;
export type SimulationState = (typeof simulationStates)[number];

/** Whose subscriptions are rated: of these customers, to any version of this plan, or all. */
export type ChosenCustomers =
  | { readonly kind: 'ids'; readonly customerIds: readonly string[] }
  | { readonly kind: 'plan'; readonly planId: string; readonly planCode: string }
  | { readonly kind: 'all' };

/** Terms as they were when the simulation was asked for, with the versions of meters that they are rated by. */
export type SimulatedPlan = {
  readonly name: string;
  readonly terms: PlanTermsJson;
  /** Null of terms that no plan has. */
  readonly version: {
    readonly planId: string;
    readonly planCode: string;
    readonly planVersionId: string;
    readonly versionNumber: number;
  } | null;
  /** Ids of meter versions by the code of the meter. */
  readonly meterVersionIds: Readonly<Record<string, string>>;
};

export type SimulatedPlans = {
  /** Null is what the subscriptions themselves are charged by. */
  readonly baseline: SimulatedPlan | null;
  readonly candidates: readonly SimulatedPlan[];
};

/** Why there is no amount. */
export const simulationFailures = [
  'candidate_not_priced',
  'candidate_other_interval',
  'baseline_not_priced',
  'baseline_other_interval',
] as const;
export type SimulationFailure = (typeof simulationFailures)[number];

/** Channels of PostgreSQL's notices: who waits for a simulation to cut or to sum up, and for shards of one. */
export const simulationChannels = { waiting: 'simulation_waiting', shardsQueued: 'simulation_shards_queued' } as const;

/** The entry of the audit log for a simulation that came to its end by itself. */
export const simulationEnded = (how: 'completed' | 'failed', id: string) => ({
  action: `simulation.${how}`,
  objectType: 'simulation',
  objectId: id,
});

/** The months of a span that begins and ends with one. */
export const monthsOf = ({ start, end }: Period): Period[] => {
  const months: Period[] = [];
  for (let month = monthOf(start); month.start < end; month = monthOf(month.end)) months.push(month);
  return months;
};
