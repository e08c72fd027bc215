/** The answer to a request of events, from what became of each. Pure. */
import { type Part, parts } from '#platform/stores/retry.ts';
import { type FailureCode, type FailureError, type Fault, type Problem, toProblem } from '#schemas/failures.ts';
import { decimalsMax, integerDigitsMax, isUnmeasurable } from '#schemas/number-text.ts';
import { fromRow } from '#schemas/usage-event.ts';
import { type EventBlock, keyOfRow, startOfRow } from '../parse/event-block.ts';
import { type Outcomes, type Status, statuses } from './accept-events.ts';
import type { ReceiptDraft } from './receipts.ts';

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

/** Nothing is refused for it, and yet it is hardly what was meant. */
type EventWarning = {
  readonly index: number;
  readonly idempotency_key: string;
  readonly field: string;
  readonly code: 'never_measured';
  readonly message: string;
};

/** Warnings of one answer end here; whoever mends these sees the next. */
export const warningsMax = 100;

/** Faults of one answer are listed up to here; the rest is counted. */
const faultsMax = 1_000;
/** Of the results of a request, block for block; beyond it only the first fault of an event is listed. */
const resultFaultsMax = 10_000;

/** How a caller wants its answer, and by which name it knows an idempotency key. */
export type Asked = { readonly everyResult: boolean; readonly keyField: string };

/**
 * What became of each event, in order of their places; of all events, or of those only that were not accepted. The
 * first event of the block has the index `from`.
 */
const resultsOf = (
  block: EventBlock,
  outcomes: Outcomes,
  { everyResult, keyField }: Asked,
  from = 0,
): EventResult[] => {
  const positions = new Map(block.places.map((place, position) => [place, position]));
  const keys = new Map(block.rejected.map(({ place, idempotencyKey }) => [place, idempotencyKey]));
  // Of claims, and told in our own words.
  const inTheirs = (fault: Fault): Fault => (fault.field === 'idempotency_key' ? { ...fault, field: keyField } : fault);
  return outcomes.statuses.flatMap((status, place): EventResult[] => {
    if (status === 'accepted' && !everyResult) return [];
    const position = positions.get(place);
    const key = position === undefined ? keys.get(place) : keyOfRow(block, position);
    const faults = outcomes.faults.get(place) ?? [];
    return [
      {
        index: from + place,
        idempotency_key: key ?? null,
        status,
        errors: position === undefined ? faults : faults.map(inTheirs),
      },
    ];
  });
};

/** The parts that keep events from being taken: the fields of the faults of `unavailable`. */
const partsDown = ({ statuses: found, faults }: Outcomes): Part[] =>
  found.flatMap((status, index) =>
    status === 'unavailable' ? (faults.get(index) ?? []).map(({ field }) => field as Part) : [],
  );

/** What became of the events of a request so far; of several blocks where it comes in several. */
export type Tally = {
  total: number;
  readonly counts: Record<Status, number>;
  readonly results: EventResult[];
  readonly faults: Fault[];
  readonly down: Set<Part>;
  /** Of a dry run. */
  readonly warnings: EventWarning[];
  resultFaultsLeft: number;
  /** Where the caller wants one. */
  readonly receipt: ReceiptDraft | undefined;
};

export const newTally = (receipt?: ReceiptDraft): Tally => ({
  total: 0,
  counts: Object.fromEntries(statuses.map((status) => [status, 0])) as Record<Status, number>,
  results: [],
  faults: [],
  down: new Set(),
  warnings: [],
  resultFaultsLeft: resultFaultsMax,
  receipt,
});

/** Adds a block; returns its results, which are not kept where they are not part of one answer. */
export const addToTally = (
  tally: Tally,
  block: EventBlock,
  outcomes: Outcomes,
  counts: Counts,
  asked: Asked,
  isKept = true,
): EventResult[] => {
  const from = tally.total;
  tally.total += block.total;
  for (const status of statuses) tally.counts[status] += counts[status];
  tally.receipt?.add(block, outcomes);
  if (counts.accepted === block.total && !asked.everyResult) return [];
  const results = resultsOf(block, outcomes, asked, from).map((result) => {
    const errors = result.errors.slice(0, Math.max(tally.resultFaultsLeft, 1));
    tally.resultFaultsLeft -= errors.length;
    return { ...result, errors };
  });
  for (const { index, errors } of results)
    for (const fault of errors) {
      if (tally.faults.length >= faultsMax) break;
      tally.faults.push({ ...fault, field: `events[${index}]${fault.field ? `.${fault.field}` : ''}` });
    }
  if (counts.unavailable > 0) for (const part of partsDown(outcomes)) tally.down.add(part);
  if (isKept) for (const result of results) tally.results.push(result);
  return results;
};

const summaryOf = ({ counts }: Tally) => ({
  accepted: counts.accepted,
  duplicates: counts.duplicate,
  conflicts: counts.conflict,
  rejected: counts.invalid + counts.too_old + counts.in_future,
});

/** Of what stands: nobody is given one for a request that has to be sent again. */
const receiptOf = ({ receipt, counts }: Tally) =>
  receipt && { receipt: receipt.sign({ accepted: counts.accepted, duplicates: counts.duplicate }) };

/** Why the request did not succeed: `refused` ended the reading of it, and what had been taken before stays taken. */
const problemOf = (tally: Tally, requestId: string, refused?: FailureError): Problem | undefined => {
  const { total, counts, down, faults } = tally;
  if (refused) return toProblem(refused.code, requestId, refused.detail, [...refused.faults, ...faults]);
  const isFinal = counts.unavailable === 0 && counts.in_flight === 0;
  if (isFinal && (total === 0 || counts.accepted + counts.duplicate > 0)) return undefined;
  const code = isFinal
    ? counts.conflict === total
      ? 'IDEMPOTENCY_CONFLICT'
      : 'EVENTS_REJECTED'
    : down.size > 0
      ? 'DEPENDENCY_UNAVAILABLE'
      : 'EVENTS_NOT_FINAL';
  const detail = down.size > 0 ? `${[...down].map((part) => parts[part]).join(' and ')} is not available` : undefined;
  return toProblem(code, requestId, detail, faults);
};

/**
 * 2xx only if every event has a final outcome and at least one is taken: a client that looks at the status alone must
 * never drop usage. 503: send all of it again, unchanged. 422 or 409: nothing was taken, and sending it again will not
 * help.
 */
export const answerOfTally = (tally: Tally, requestId: string, refused?: FailureError): Answer => {
  const summary = { ...summaryOf(tally), results: tally.results };
  const problem = problemOf(tally, requestId, refused);
  if (!problem) return { status: 200, code: undefined, body: JSON.stringify({ ...summary, ...receiptOf(tally) }) };
  return { status: problem.status, code: problem.error_code, body: JSON.stringify({ ...problem, ...summary }) };
};

/**
 * The last of the lines of an answer whose status went before the events were read: it says what the status would have
 * been.
 */
export const lastLineOf = (tally: Tally, requestId: string, refused?: FailureError): Answer => {
  const problem = problemOf(tally, requestId, refused);
  const isFinal = !refused && tally.counts.unavailable === 0 && tally.counts.in_flight === 0;
  const { title, detail, error_code } = problem ?? {};
  const line = {
    final: isFinal,
    status: problem?.status ?? 200,
    error_code,
    title,
    detail,
    request_id: requestId,
    ...summaryOf(tally),
    ...(problem ? {} : receiptOf(tally)),
  };
  return { status: line.status, code: error_code, body: JSON.stringify(line) };
};

/** What a block would become, as far as it can be told without a store. */
export const judged = (block: EventBlock): Outcomes => {
  const found = new Array<Status>(block.total).fill('accepted');
  for (const { place, status } of block.rejected) found[place] = status;
  return { statuses: found, faults: new Map(block.rejected.map(({ place, faults }) => [place, faults])) };
};

const neverMeasured = `is a text that reads as a number, and no meter can measure it as it is written: send up to ${integerDigitsMax} digits before the point and ${decimalsMax} behind it`;

/**
 * Adds what would be taken of a block, and never counted. A JSON number of that kind is refused; as a text it may be a
 * name, and is kept.
 */
export const addWarnings = (tally: Tally, block: EventBlock, { keyField }: Asked): void => {
  // The tally has counted the block already.
  const from = tally.total - block.total;
  const properties = keyField === 'id' ? 'data' : 'properties';
  for (const [row, place] of block.places.entries()) {
    if (tally.warnings.length >= warningsMax) return;
    const { idempotencyKey, properties: pairs } = fromRow(block.rows.subarray(startOfRow(block, row), block.ends[row]));
    for (const [path, text] of pairs) {
      if (tally.warnings.length >= warningsMax || !isUnmeasurable(text)) continue;
      const field = `${properties}.${path}`;
      tally.warnings.push({
        index: from + place,
        idempotency_key: idempotencyKey,
        field,
        code: 'never_measured',
        message: neverMeasured,
      });
    }
  }
};

/** The answer of a dry run. */
export const validationOf = (tally: Tally): string =>
  JSON.stringify({
    valid: tally.counts.accepted,
    rejected: tally.total - tally.counts.accepted,
    warnings: tally.warnings,
    results: tally.results.map((result) => (result.status === 'accepted' ? { ...result, status: 'valid' } : result)),
  });
