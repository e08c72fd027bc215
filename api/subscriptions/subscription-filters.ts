/**
 * How lists ask for subscriptions by their state and their plan: texts of SQL over `subscriptions s`. Each condition
 * names first what an index finds.
 */
import { lookUpColumn } from '#schemas/names.ts';
import { subscriptionStates } from '#schemas/subscription-state.ts';
import type { Filter } from '../route/lists.ts';

/**
 * Of the changes of `s` of some kinds, what the last one says that is in effect at an instant. Plan versions are joined
 * for what is of them: lists plan their statements each time, and each table counts.
 */
export const lastChange = (column: `${'g' | 'gv'}.${string}`, kinds: string, instant: string): string =>
  `(SELECT ${column} FROM subscription_changes g
      ${column.startsWith('gv.') ? 'LEFT JOIN plan_versions gv ON gv.id = g.plan_version_id' : ''}
    WHERE g.subscription_id = s.id AND g.undone_at IS NULL AND g.kind IN (${kinds}) AND g.effective_at <= ${instant}
    ORDER BY g.effective_at DESC, g.id DESC LIMIT 1)`;

const hourOfAll = 'statement_timestamp()';
const hourOfClock = '(SELECT k.now_at FROM test_clocks k WHERE k.id = s.test_clock_id)';

/** What is so of `s` at its hour: that of all, or that of its test clock. */
export const atItsHour = (test: (hour: string) => string): string =>
  `((s.test_clock_id IS NULL AND ${test(hourOfAll)})
    OR (s.test_clock_id IS NOT NULL AND ${test(hourOfClock)}))`;

const isPaused = (hour: string): string => `${lastChange('g.kind', "'pause', 'resume'", hour)} = 'pause'`;
const goesOn = (hour: string): string => `(s.ended_at IS NULL OR s.ended_at > ${hour})`;
const hasBegun = (hour: string): string => `s.started_at <= ${hour}`;
const isPastTrial = (hour: string): string => `(s.trial_ends_at IS NULL OR s.trial_ends_at <= ${hour})`;

type State = (typeof subscriptionStates)[number];

/** As `subscriptionStateAt` has it, of `s` at an instant. */
export const isInState: Readonly<Record<State, (hour: string) => string>> = {
  pending: (hour) => `(s.started_at > ${hour} AND ${goesOn(hour)})`,
  trialing: (hour) => `(s.trial_ends_at > ${hour} AND ${hasBegun(hour)} AND ${goesOn(hour)})`,
  active: (hour) =>
    `(${goesOn(hour)} AND ${hasBegun(hour)} AND ${isPastTrial(hour)} AND (NOT s.has_changes
      OR ${isPaused(hour)} IS NOT TRUE))`,
  paused: (hour) =>
    `(s.has_changes AND ${goesOn(hour)} AND ${hasBegun(hour)} AND ${isPastTrial(hour)} AND ${isPaused(hour)})`,
  canceled: (hour) => `(s.ended_at <= ${hour} AND s.canceled_at IS NOT NULL)`,
  ended: (hour) => `(s.ended_at <= ${hour} AND s.canceled_at IS NULL)`,
};

/** Few were ever paused, and an index knows them. */
const wasPaused = `s.id IN (SELECT g.subscription_id FROM subscription_changes g
  WHERE g.organization_id = $1 AND g.kind = 'pause' AND g.undone_at IS NULL)`;

/** The hours that subscriptions live by are all between these two. */
const hours = (end: 'least' | 'greatest'): string =>
  `(SELECT ${end}(statement_timestamp(), ${end === 'least' ? 'min' : 'max'}(k.now_at)) FROM test_clocks k
    WHERE k.organization_id = $1)`;

export const earliestHour = hours('least');

/** What an index finds, in its order: all that is so, and few more, whatever hours there are. */
export type Near<S extends string> = Readonly<
  Partial<Record<S, { readonly condition?: string; readonly order: string; readonly also?: string }>>
>;

const nearState: Near<State> = {
  pending: { condition: `s.started_at > ${earliestHour}`, order: 's.started_at DESC' },
  trialing: { condition: `s.trial_ends_at > ${earliestHour}`, order: 's.trial_ends_at DESC' },
  canceled: {
    condition: `s.canceled_at IS NOT NULL AND s.ended_at <= ${hours('greatest')}`,
    order: 's.ended_at DESC',
  },
  ended: { condition: `s.canceled_at IS NULL AND s.ended_at <= ${hours('greatest')}`, order: 's.ended_at DESC' },
  paused: { order: '', also: wasPaused },
};

/** SQL of whether all live by the same hour: `same`, or `own` where there are test clocks. `$1` is the organization. */
export const sameHour = `CASE WHEN (SELECT k.id FROM test_clocks k WHERE k.organization_id = $1
    ORDER BY k.organization_id, k.id LIMIT 1) IS NULL THEN 'same' ELSE 'own' END`;

/**
 * A filter by what holds at the hour of a subscription. Where no test clock is, which is everywhere but in sandboxes,
 * the hour is the same for all, and an index answers for the very condition.
 */
export const hourFilter = <S extends string>(
  choices: readonly S[],
  isSo: Readonly<Record<S, (hour: string) => string>>,
  near: Near<S>,
): Filter => ({
  column: 's.id',
  choices,
  resolve: () => sameHour,
  test: (value, text, hours) => {
    const found = near[text as S];
    const test = isSo[text as S];
    const tests = hours === 'same' ? [found?.also, test(hourOfAll)] : [found?.also, found?.condition, atItsHour(test)];
    // Each parameter that is sent must be named.
    return [`${value}::text IS NOT NULL`, ...tests.filter((one) => one !== undefined)].join(' AND ');
  },
  lead: (text) => near[text as S]?.order ?? '',
});

export const stateFilter: Filter = hourFilter(subscriptionStates, isInState, nearState);

/** As `termsNow` has it: of one to come what it begins with, of one that is over what held last. */
const lastInstant = (hour: string): string =>
  `least(greatest(s.started_at, ${hour}), coalesce(s.ended_at, 'infinity') - interval '1 millisecond')`;

/** The version of the plan that `s` has, as `termsNow` has it, at its hour. */
export const heldVersion = (hour: string): string => `(CASE WHEN s.has_changes
  THEN coalesce(${lastChange('g.plan_version_id', "'plan'", lastInstant(hour))}, s.plan_version_id)
  ELSE s.plan_version_id END)`;

/** By the versions of the plan. What began with one of them may have another now, and the reverse. */
export const planFilter: Filter = {
  column: 's.plan_version_id',
  description: 'Id or code of the plan that holds now, whatever version of it.',
  lead: () => '',
  resolve: (value, text) => `ARRAY(SELECT n.id FROM plan_versions n JOIN plans l ON l.id = n.plan_id
    WHERE l.organization_id = $1 AND l.${lookUpColumn('pln', text, 'code')} = ${value})::text`,
  test: (value) => {
    // No index answers for the hour here, so that it can be a value: the planner has half as much to plan.
    const hour = `CASE WHEN s.test_clock_id IS NULL THEN ${hourOfAll} ELSE ${hourOfClock} END`;
    const held = lastChange('g.plan_version_id', "'plan'", lastInstant(hour));
    return `(s.plan_version_id = ANY (${value}::text[]) OR s.id = ANY (ARRAY(SELECT g.subscription_id
        FROM subscription_changes g WHERE g.organization_id = $1 AND g.kind = 'plan' AND g.undone_at IS NULL
          AND g.plan_version_id = ANY (${value}::text[]))))
      AND (NOT s.has_changes OR coalesce(${held}, s.plan_version_id) = ANY (${value}::text[]))`;
  },
};
