/**
 * The use case of ingest: every event gets one outcome, and the effects happen in the order that makes "accepted" true
 * whatever dies in between:
 *
 *   1. validate all events (no effect): ingest/parse, which gives blocks of rows;
 *   2. claim their keys in Redis, message by message: `pending`, with a lease and a fingerprint;
 *   3. publish the winners of each message and wait for the acknowledgement of the stream: the commit point;
 *   4. the caller answers;
 *   5. confirm the message's claims. May follow the answer: if it is lost, the lease runs out, a retry is published
 *      again, and the store removes the twin.
 *
 * A claim before the publish is what tells twins apart; the lease is what keeps a crash between 2 and 3 from refusing
 * the retry for ever. The claims of one message share one record of their state, so that a confirmation costs the same
 * for one event and for a thousand.
 */
import { hash } from 'node:crypto';
import type { Fault } from '#schemas/failures.ts';
import { newMessage, rowOffsets, writeInteger } from '#schemas/usage-event.ts';
import { claimBytes, digestBytes, type EventBlock, startOfRow } from '../parse/event-block.ts';

export const statuses = [
  'accepted',
  'duplicate',
  'conflict',
  'invalid',
  'too_old',
  'in_future',
  'unavailable',
  'in_flight',
] as const;
export type Status = (typeof statuses)[number];

/** What became of the events of a block, by their place in the request. */
export type Outcomes = {
  readonly statuses: readonly Status[];
  /** Only of events that are neither accepted nor duplicates. */
  readonly faults: ReadonlyMap<number, readonly Fault[]>;
};

export type ClaimException = {
  /** Of the claim in its call. */
  readonly position: number;
  /** `taken_over`: won from a try whose lease ran out and whose message may be in the stream all the same. */
  readonly status: 'taken_over' | 'duplicate' | 'conflict' | 'in_flight';
  /** With `in_flight`: whose it is. */
  readonly batch: number;
  /** With `taken_over`: the time that the first try gave the event where the caller gave none. */
  readonly assignedMs: number;
};

/** All claims of a call were won, but for the exceptions. `batch` names the call in what follows. */
export type ClaimAnswer = { readonly batch: number; readonly exceptions: readonly ClaimException[] };

/**
 * Thrown by `publish` and `claim`: whether the stream may hold the message all the same decides whether the claims are
 * given back.
 */
export class PublishError extends Error {
  readonly mayBeStored: boolean;
  constructor(mayBeStored: boolean, cause: unknown) {
    super(`the stream did not take a message: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    this.name = 'PublishError';
    this.mayBeStored = mayBeStored;
  }
}

/**
 * `requestId` and `traceparent` go with the message as headers, so that the logs and traces of its later stages name
 * the request; `isBackfill` so that the store knows that its events were sent as of the past.
 */
export type OutgoingMessage = {
  readonly id: string;
  readonly body: Buffer;
  readonly isBackfill?: boolean;
  readonly requestId?: string;
  readonly traceparent?: string | undefined;
};

export type AcceptPorts = {
  readonly claims: {
    /**
     * `records`: `claimBytes` for each key. `assignedMs`: the time of events without one. Undefined where the claims
     * can't be reached. Throws `PublishError` where the stream is away, and nothing else: nobody can say then whether
     * it holds what the claims know.
     */
    readonly claim: (records: Buffer, assignedMs: number) => Promise<ClaimAnswer | undefined>;
    /** The events of the batch are in the stream at this sequence. Never throws. */
    readonly confirm: (batch: number, sequence: number) => Promise<void>;
    /**
     * The events of the batch are certainly not in the stream, from no try: their keys are free again. Never throws.
     */
    readonly release: (batch: number) => Promise<void>;
  };
  /**
   * Resolves with the stream sequence once the message is durable; the same id is stored once. Throws `PublishError`.
   */
  readonly publish: (message: OutgoingMessage) => Promise<number>;
};

export type PackLimits = { readonly messageBytesMax: number; readonly messageEventsMax: number };

export type Accepted = {
  /** One for each block, in order. */
  readonly outcomes: readonly Outcomes[];
  /** Settles when the claims are confirmed; awaited when a process drains, not by the answer. */
  readonly confirmed: Promise<unknown>;
  /** Whether Redis was away, so that only the store tells twins apart. */
  readonly unclaimed: boolean;
};

/** Consecutive rows of a block. */
type Span = { readonly block: number; readonly from: number; readonly to: number };
type Pack = { readonly spans: Span[]; rows: number; bytes: number };

type Progress = {
  readonly blocks: readonly EventBlock[];
  readonly statuses: Status[][];
  readonly faults: Map<number, readonly Fault[]>[];
  /**
   * Claims that are in flight: where the batch is of this very request, their outcome follows from that of the first.
   */
  readonly twins: { readonly block: number; readonly row: number; readonly batch: number }[];
  /** The messages of this request by the batches of their claims, with the positions in each that were not won. */
  readonly batches: Map<number, { readonly spans: readonly Span[]; readonly left: ReadonlySet<number> }>;
  /** Without claims: the keys of this request so far, with the row of each that goes first. */
  readonly unclaimedKeys: Map<string, Row>;
  readonly confirmations: Promise<void>[];
  unclaimed: boolean;
};

const conflictFaults: readonly Fault[] = [
  { field: 'idempotency_key', code: 'idempotency_conflict', message: 'was used with another payload, which stands' },
];
const inFlightFaults: readonly Fault[] = [
  { field: 'idempotency_key', code: 'in_flight', message: 'is being worked on by another request' },
];
const untimedFaults: readonly Fault[] = [
  { field: 'redis', code: 'unavailable', message: 'Redis is not available, which an event without a timestamp needs' },
];
const streamFaults: readonly Fault[] = [
  { field: 'nats', code: 'unavailable', message: 'NATS JetStream did not take the event' },
];

/** Cuts the rows into messages within the limits; a row that is larger by itself goes alone. */
const packed = (blocks: readonly EventBlock[], limits: PackLimits): readonly Pack[] => {
  const packs: Pack[] = [];
  let pack: Pack | undefined;
  for (const [block, { ends }] of blocks.entries()) {
    let from = 0;
    let start = 0;
    const close = (to: number) => {
      if (to > from) pack?.spans.push({ block, from, to });
      from = to;
    };
    for (const [row, end] of ends.entries()) {
      const bytes = end - start + 4;
      start = end;
      if (
        pack === undefined ||
        pack.rows === limits.messageEventsMax ||
        (pack.rows > 0 && pack.bytes + bytes > limits.messageBytesMax)
      ) {
        close(row);
        pack = { spans: [], rows: 0, bytes: 16 };
        packs.push(pack);
      }
      pack.rows += 1;
      pack.bytes += bytes;
    }
    close(ends.length);
  }
  return packs;
};

const claimsOf = (blocks: readonly EventBlock[], spans: readonly Span[]): Buffer => {
  const parts = spans.map(({ block, from, to }) =>
    (blocks[block] as EventBlock).claims.subarray(from * claimBytes, to * claimBytes),
  );
  return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
};

/** One message of the rows that were won. `left` holds the positions, counted over the spans, that were not. */
const toMessage = (blocks: readonly EventBlock[], spans: readonly Span[], left: ReadonlySet<number>): Buffer => {
  const lengths: number[] = [];
  let position = 0;
  for (const { block, from, to } of spans) {
    const events = blocks[block] as EventBlock;
    for (let row = from; row < to; row += 1, position += 1)
      if (!left.has(position)) lengths.push((events.ends[row] as number) - startOfRow(events, row));
  }
  const { message, rowsAt } = newMessage(lengths);
  let at = rowsAt;
  position = 0;
  for (const { block, from, to } of spans) {
    const events = blocks[block] as EventBlock;
    if (left.size === 0) at += events.rows.copy(message, at, startOfRow(events, from), events.ends[to - 1]);
    else
      for (let row = from; row < to; row += 1, position += 1)
        if (!left.has(position)) at += events.rows.copy(message, at, startOfRow(events, row), events.ends[row]);
  }
  return message;
};

const digestOf = ({ claims }: EventBlock, row: number): string =>
  claims.toString('latin1', row * claimBytes, row * claimBytes + digestBytes);

const fingerprintOf = ({ claims }: EventBlock, row: number): string =>
  claims.toString('latin1', row * claimBytes + digestBytes, (row + 1) * claimBytes);

const setStatus = (progress: Progress, { block, row }: Row, status: Status, faults?: readonly Fault[]): void => {
  const place = (progress.blocks[block] as EventBlock).places[row] as number;
  (progress.statuses[block] as Status[])[place] = status;
  if (faults) progress.faults[block]?.set(place, faults);
};

type Row = { readonly block: number; readonly row: number };

/** The row at a position that is counted over the spans. */
const rowAt = (spans: readonly Span[], position: number): Row => {
  let rest = position;
  for (const { block, from, to } of spans) {
    if (rest < to - from) return { block, row: from + rest };
    rest -= to - from;
  }
  throw new RangeError(`no row at ${position}`);
};

/**
 * Writes the outcome of what was not won; returns the positions that are not published, and whether any row was taken
 * over.
 */
const settleExceptions = (progress: Progress, spans: readonly Span[], answer: ClaimAnswer) => {
  const left = new Set<number>();
  let takenOver = false;
  for (const { position, status, batch, assignedMs } of answer.exceptions) {
    const row = rowAt(spans, position);
    if (status === 'taken_over') {
      takenOver = true;
      const block = progress.blocks[row.block] as EventBlock;
      if (block.untimed.includes(row.row))
        writeInteger(block.rows, assignedMs, startOfRow(block, row.row) + rowOffsets.occurredAt);
      continue;
    }
    left.add(position);
    if (status === 'duplicate') setStatus(progress, row, 'duplicate');
    else if (status === 'conflict') setStatus(progress, row, 'conflict', conflictFaults);
    else progress.twins.push({ ...row, batch });
  }
  return { left, takenOver };
};

const haveOnePayload = ({ blocks }: Progress, one: Row, other: Row): boolean =>
  fingerprintOf(blocks[one.block] as EventBlock, one.row) ===
  fingerprintOf(blocks[other.block] as EventBlock, other.row);

/** In place of a batch, for rows that were told apart here. */
const noBatch = -1;

/**
 * Without claims the store alone tells twins apart, by key and time. An event whose time is ours to give would get
 * another time on a retry, so it has to wait. Twins within the request are told apart here: the first wins.
 */
const settleUnclaimed = (progress: Progress, spans: readonly Span[]): Set<number> => {
  progress.unclaimed = true;
  const left = new Set<number>();
  let position = 0;
  for (const { block, from, to } of spans) {
    const events = progress.blocks[block] as EventBlock;
    const untimed = new Set(events.untimed);
    for (let row = from; row < to; row += 1, position += 1) {
      const digest = digestOf(events, row);
      const first = progress.unclaimedKeys.get(digest);
      if (first === undefined) progress.unclaimedKeys.set(digest, { block, row });
      else if (haveOnePayload(progress, first, { block, row })) progress.twins.push({ block, row, batch: noBatch });
      else setStatus(progress, { block, row }, 'conflict', conflictFaults);
      if (first === undefined && untimed.has(row)) setStatus(progress, { block, row }, 'unavailable', untimedFaults);
      if (first !== undefined || untimed.has(row)) left.add(position);
    }
  }
  return left;
};

/**
 * The same rows in the same order always give the same id, so a retry of a message within the stream's window is stored
 * once. Only what is in the message counts: another part of the same request under this id would be taken for a
 * repetition, and lost.
 */
const messageIdOf = (claims: Buffer, left: ReadonlySet<number>): string => {
  if (left.size === 0) return hash('sha256', claims, 'base64url');
  const published: Buffer[] = [];
  for (let position = 0; position * claimBytes < claims.length; position += 1)
    if (!left.has(position)) published.push(claims.subarray(position * claimBytes, (position + 1) * claimBytes));
  return hash('sha256', Buffer.concat(published), 'base64url');
};

const acceptPack = async (progress: Progress, pack: Pack, receivedAtMs: number, ports: AcceptPorts): Promise<void> => {
  const { blocks, confirmations } = progress;
  const { spans } = pack;
  const claims = claimsOf(blocks, spans);
  let answer: ClaimAnswer | undefined;
  let left: ReadonlySet<number> = new Set();
  let takenOver = false;
  try {
    // 2. Claim.
    answer = await ports.claims.claim(claims, receivedAtMs);
    if (answer) ({ left, takenOver } = settleExceptions(progress, spans, answer));
    else left = settleUnclaimed(progress, spans);
    if (answer) progress.batches.set(answer.batch, { spans, left });
    if (left.size === pack.rows) return;
    // 3. Publish.
    const sequence = await ports.publish({ id: messageIdOf(claims, left), body: toMessage(blocks, spans, left) });
    // 5. Confirm, off the path of the answer.
    if (answer) confirmations.push(ports.claims.confirm(answer.batch, sequence));
  } catch (error) {
    if (!(error instanceof PublishError)) throw error;
    for (let position = 0; position < pack.rows; position += 1)
      if (!left.has(position)) setStatus(progress, rowAt(spans, position), 'unavailable', streamFaults);
    // Claims that were taken over stay: to free their keys would let another payload, or another time of ours, in
    // beside the first try's.
    if (answer && !takenOver && !error.mayBeStored) confirmations.push(ports.claims.release(answer.batch));
  }
};

/** The rows that were won with the claims of a batch, by their keys; none of a batch that is not of this request. */
const wonWith = ({ blocks, batches, unclaimedKeys }: Progress, batch: number): ReadonlyMap<string, Row> => {
  if (batch === noBatch) return unclaimedKeys;
  const won = new Map<string, Row>();
  const { spans, left } = batches.get(batch) ?? { spans: [], left: new Set() };
  let position = 0;
  for (const { block, from, to } of spans)
    for (let row = from; row < to; row += 1, position += 1)
      if (!left.has(position)) won.set(digestOf(blocks[block] as EventBlock, row), { block, row });
  return won;
};

/**
 * A twin within the request follows the first: of what was accepted it is a duplicate, or a conflict where it has
 * another payload; of what is unavailable it is as unavailable, and with another payload it waits, since nothing stands
 * yet. What somebody else is working on waits in any case.
 */
const settleTwins = (progress: Progress): void => {
  const wonOf = new Map<number, ReadonlyMap<string, Row>>();
  for (const { block, row, batch } of progress.twins) {
    const won = wonOf.get(batch) ?? wonWith(progress, batch);
    wonOf.set(batch, won);
    const first = won.get(digestOf(progress.blocks[block] as EventBlock, row));
    const place = first && progress.blocks[first.block]?.places[first.row];
    const status = first && progress.statuses[first.block]?.[place as number];
    const isSame = first !== undefined && haveOnePayload(progress, first, { block, row });
    if (status === 'accepted' && isSame) setStatus(progress, { block, row }, 'duplicate');
    else if (status === 'accepted') setStatus(progress, { block, row }, 'conflict', conflictFaults);
    else if (status === 'unavailable' && isSame)
      setStatus(progress, { block, row }, 'unavailable', progress.faults[first.block]?.get(place as number));
    else setStatus(progress, { block, row }, 'in_flight', inFlightFaults);
  }
};

/**
 * All rows of a message bear one time of receipt, and its claims keep the same for all of its events that have no time
 * of their own.
 */
const receiveTogether = (blocks: readonly EventBlock[], receivedAtMs: number): void => {
  for (const block of blocks) {
    for (const row of block.ends.keys())
      writeInteger(block.rows, receivedAtMs, startOfRow(block, row) + rowOffsets.receivedAt);
    for (const row of block.untimed)
      writeInteger(block.rows, receivedAtMs, startOfRow(block, row) + rowOffsets.occurredAt);
  }
};

/**
 * Rows of one organization, of one request or of several that came together. Each gets its outcome; nothing is thrown
 * but bugs.
 */
export const acceptEvents = async (
  blocks: readonly EventBlock[],
  receivedAtMs: number,
  limits: PackLimits,
  ports: AcceptPorts,
): Promise<Accepted> => {
  const progress: Progress = {
    blocks,
    statuses: blocks.map(({ total }) => new Array<Status>(total).fill('accepted')),
    faults: blocks.map(() => new Map()),
    twins: [],
    batches: new Map(),
    unclaimedKeys: new Map(),
    confirmations: [],
    unclaimed: false,
  };
  for (const [block, { rejected }] of blocks.entries())
    for (const { place, status, faults } of rejected) {
      (progress.statuses[block] as Status[])[place] = status;
      progress.faults[block]?.set(place, faults);
    }
  if (blocks.length > 1) receiveTogether(blocks, receivedAtMs);
  await Promise.all(packed(blocks, limits).map((pack) => acceptPack(progress, pack, receivedAtMs, ports)));
  settleTwins(progress);
  return {
    outcomes: blocks.map((_, block) => ({
      statuses: progress.statuses[block] as Status[],
      faults: progress.faults[block] as Map<number, readonly Fault[]>,
    })),
    confirmed: Promise.all(progress.confirmations),
    unclaimed: progress.unclaimed,
  };
};
