/** Simulations and their results as callers see them, as JSON and as CSV (RFC 4180). Pure. */
import { termsToAnswer } from '#schemas/http/plan.ts';
import { formatInstant } from '#schemas/instant.ts';
import { type Amount, formatMinorUnits, subtractAmounts } from '#schemas/money.ts';
import { formatPeriod } from '#schemas/period.ts';
import { type ChosenCustomers, failedPeriodToJson, type SimulatedPlan } from '#schemas/simulation.ts';
import { percentOf } from '../../rater/simulate/summarize.ts';
import { csvCell } from '../usage/usage-csv.ts';
import type { Simulation, SimulationResult } from './simulations.postgres.ts';

const planHeadToJson = ({ name, version, terms }: SimulatedPlan) => ({
  name,
  plan_code: version?.planCode ?? null,
  plan_version_id: version?.planVersionId ?? null,
  version_number: version?.versionNumber ?? null,
  currency: terms.currency,
});

const planToJson = (plan: SimulatedPlan) => ({ ...planHeadToJson(plan), ...termsToAnswer(plan.terms) });

const chosenToJson = (chosen: ChosenCustomers) => ({
  by: chosen.kind,
  ids: chosen.kind === 'ids' ? chosen.customerIds : null,
  plan_code: chosen.kind === 'plan' ? chosen.planCode : null,
});

/** For a progress bar: to the thousandth is enough, and a share of 1 is said of what is done alone. */
const thousandths = (value: number): number => Math.floor(value * 1000) / 1000;

export const progressOf = ({
  state,
  customersTotal: total,
  customersDone: done,
  runningMs,
}: Pick<Simulation, 'state' | 'customersTotal' | 'customersDone' | 'runningMs'>) => {
  const share = total === null ? 0 : total === 0 ? 1 : done / total;
  const perSecond = runningMs !== null && runningMs > 0 && done > 0 ? done / (runningMs / 1000) : null;
  const isEnded = state !== 'queued' && state !== 'running';
  const left = total !== null && perSecond !== null ? (total - done) / perSecond : null;
  return {
    done,
    total,
    share: thousandths(share),
    customers_per_second: perSecond === null ? null : thousandths(perSecond),
    remaining_seconds: isEnded ? 0 : left === null ? null : thousandths(left),
  };
};

const timeToJson = (instant: number | null) => (instant === null ? null : formatInstant(instant));

/** What of a simulation does not move by itself. */
const lastingHead = ({ id, name, period, version, createdAt }: Simulation) => ({
  id,
  name,
  period: formatPeriod(period),
  version,
  created_at: formatInstant(createdAt),
});

const headToJson = (simulation: Simulation) => ({
  ...lastingHead(simulation),
  state: simulation.state,
  progress: progressOf(simulation),
  watermark: simulation.watermark?.toString() ?? null,
  failure: simulation.failure,
  updated_at: formatInstant(simulation.updatedAt),
  started_at: timeToJson(simulation.startedAt),
  ended_at: timeToJson(simulation.endedAt),
});

export const simulationHeadToJson = (simulation: Simulation) => ({
  ...headToJson(simulation),
  candidates: simulation.plans.candidates.map(planHeadToJson),
});

const comparedToJson = ({ chosen, plans }: Simulation) => ({
  customers: chosenToJson(chosen),
  baseline: plans.baseline && planToJson(plans.baseline),
  candidates: plans.candidates.map(planToJson),
});

export const simulationToJson = (simulation: Simulation) => ({
  ...headToJson(simulation),
  ...comparedToJson(simulation),
  summary: simulation.summary,
});

/** For the digest of an entry: what a rater moves meanwhile is no part of the change. */
export const lastingOf = (simulation: Simulation) => ({
  ...lastingHead(simulation),
  ...comparedToJson(simulation),
});

export const resultToJson = ({
  customerId,
  externalId,
  candidate,
  currency,
  baseline,
  amount,
  failure,
  failed,
}: SimulationResult) => {
  const difference = baseline === null || amount === null ? null : subtractAmounts(amount, baseline);
  const text = (of: Amount | null): string | null => (of === null ? null : formatMinorUnits(of, currency));
  return {
    customer_id: customerId,
    external_id: externalId,
    candidate,
    currency,
    baseline: text(baseline),
    amount: text(amount),
    difference: text(difference),
    percent: baseline === null || difference === null ? null : percentOf(difference, baseline),
    failure,
    ...failedPeriodToJson(failed),
  };
};

export const resultsCsvHeader =
  'customer_id,external_id,candidate,name,currency,baseline,amount,difference,percent,failure,failed_start,failed_end,cause,message\r\n';

/** `names` are those of the candidates. */
export const resultToCsv = (result: SimulationResult, names: readonly string[]): string => {
  const { customer_id, external_id, candidate, currency, baseline, amount, difference, percent, ...why } =
    resultToJson(result);
  const period = why.failed_period;
  const fields = [
    ...[customer_id, csvCell(external_id), candidate, csvCell(names[candidate - 1] ?? null), currency],
    ...[baseline, amount, difference, percent, why.failure].map((field) => field ?? ''),
    ...[period?.start, period?.end, why.cause].map((field) => field ?? ''),
    // It may quote what callers sent.
    csvCell(why.message),
  ];
  return `${fields.join(',')}\r\n`;
};
