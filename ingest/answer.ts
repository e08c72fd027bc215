/** The answer to a request of events, from what became of each. Pure. */
import { type Part, parts } from '#platform/retry.ts';
import { type FailureCode, type Fault, toProblem } from '#schemas/failures.ts';
import { type Outcomes, type Status, statuses } from './accept-events.ts';
import { type EventBlock, keyOfRow } from './parse/event-block.ts';

export type Counts = Readonly<Record<Status, number>>;

export const countsOf = ({ statuses: found }: Outcomes): Counts => {
  const counts = Object.fromEntries(statuses.map((status) => [status, 0])) as Record<Status, number>;
  for (const status of found) counts[status] += 1;
  return counts;
};

export type Answer = {
  readonly status: number;
  /** Undefined where the request succeeded. */
  readonly code: FailureCode | undefined;
  /** JSON text. */
  readonly body: string;
};

export type EventResult = {
  readonly index: number;
  readonly idempotency_key: string | null;
  readonly status: Status;
  readonly errors: readonly Fault[];
};

/** Faults of one answer are listed up to here; the rest is counted. */
const faultsMax = 1_000;

/** What became of each event, in order of their places; of all events, or of those only that were not accepted. */
export const resultsOf = (block: EventBlock, outcomes: Outcomes, everyResult: boolean): EventResult[] => {
  const positions = new Map(block.places.map((place, position) => [place, position]));
  const keys = new Map(block.rejected.map(({ place, idempotencyKey }) => [place, idempotencyKey]));
  return outcomes.statuses.flatMap((status, index): EventResult[] => {
    if (status === 'accepted' && !everyResult) return [];
    const position = positions.get(index);
    const key = position === undefined ? keys.get(index) : keyOfRow(block, position);
    return [{ index, idempotency_key: key ?? null, status, errors: outcomes.faults.get(index) ?? [] }];
  });
};

/** The parts that keep events from being taken: the fields of the faults of `unavailable`. */
const partsDown = ({ statuses: found, faults }: Outcomes): Part[] => {
  const fields = found.flatMap((status, index) =>
    status === 'unavailable' ? (faults.get(index) ?? []).map(({ field }) => field as Part) : [],
  );
  return [...new Set(fields)];
};

/**
 * 2xx only if every event has a final outcome and at least one is taken: a client that looks at the status alone must never drop usage. 503: send all
 * of it again, unchanged. 422 or 409: nothing was taken, and sending it again will not help.
 */
export const answerOf = (block: EventBlock, outcomes: Outcomes, counts: Counts, requestId: string, everyResult: boolean): Answer => {
  const summary = {
    accepted: counts.accepted,
    duplicates: counts.duplicate,
    conflicts: counts.conflict,
    rejected: counts.invalid + counts.too_old + counts.in_future,
    results: counts.accepted === block.total && !everyResult ? [] : resultsOf(block, outcomes, everyResult),
  };
  const isFinal = counts.unavailable === 0 && counts.in_flight === 0;
  if (isFinal && (block.total === 0 || counts.accepted + counts.duplicate > 0))
    return { status: 200, code: undefined, body: JSON.stringify(summary) };
  const faults = [...outcomes.faults]
    .sort(([a], [b]) => a - b)
    .flatMap(([index, found]) => found.map((fault) => ({ ...fault, field: `events[${index}]${fault.field ? `.${fault.field}` : ''}` })))
    .slice(0, faultsMax);
  const down = partsDown(outcomes);
  const code = isFinal
    ? counts.conflict === block.total
      ? 'IDEMPOTENCY_CONFLICT'
      : 'EVENTS_REJECTED'
    : down.length > 0
      ? 'DEPENDENCY_UNAVAILABLE'
      : 'EVENTS_NOT_FINAL';
  const detail = down.length > 0 ? `${down.map((part) => parts[part]).join(' and ')} is not available` : undefined;
  const problem = toProblem(code, requestId, detail, faults);
  return { status: problem.status, code, body: JSON.stringify({ ...problem, ...summary }) };
};
