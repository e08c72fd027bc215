/**
 * The use case of ingest: every event of a request gets one outcome, and the effects happen in the order that makes "accepted" true
 * whatever dies in between:
 *
 *   1. validate all events (no effect);
 *   2. claim their keys in Redis: `pending`, with a lease and a fingerprint;
 *   3. publish the winners, packed, and wait for the acknowledgement of the stream: the commit point;
 *   4. the caller answers;
 *   5. confirm the claims. May follow the answer: if it is lost, the lease runs out, a retry is published again, and the store removes the twin.
 *
 * A claim before the publish is what tells twins apart; the lease is what keeps a crash between 2 and 3 from refusing the retry for ever.
 */
import { hash } from 'node:crypto';
import type { Fault } from '#schemas/failures.ts';
import { digestOfKey, toAvro, toMessage, type UsageEvent } from '#schemas/usage-event.ts';
import { type Horizon, parseNativeEvent } from './parse/native.ts';

export type Status = 'accepted' | 'duplicate' | 'conflict' | 'invalid' | 'too_old' | 'in_future' | 'unavailable' | 'in_flight';

export type Outcome = {
  readonly index: number;
  readonly idempotencyKey: string | undefined;
  readonly status: Status;
  readonly faults: readonly Fault[];
};

/** What a claim is about: the identity, and a fingerprint of the payload that tells a retry from a conflict. */
export type Claim = {
  readonly digest: Buffer;
  readonly fingerprint: Buffer;
  /** The time that we gave an event without one; 0 where the caller gave it. Kept, so that a retry is the same event. */
  readonly assignedMs: number;
};

export type ClaimAnswer =
  /** `mayBeStored`: the claim was taken over from a try whose lease ran out and whose message may be in the stream all the same. */
  | { readonly status: 'won'; readonly assignedMs: number; readonly mayBeStored: boolean }
  | { readonly status: 'duplicate' | 'conflict' | 'in_flight' };

/** Thrown by `publish`: whether the stream may hold the message all the same decides whether the claim is given back. */
export class PublishError extends Error {
  readonly mayBeStored: boolean;
  constructor(mayBeStored: boolean, cause: unknown) {
    super(`the stream did not take a message: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    this.name = 'PublishError';
    this.mayBeStored = mayBeStored;
  }
}

/** `requestId` and `traceparent` go with the message as headers, so that the logs and traces of its later stages name the request. */
export type OutgoingMessage = {
  readonly id: string;
  readonly body: Buffer;
  readonly requestId?: string;
  readonly traceparent?: string | undefined;
};

export type AcceptPorts = {
  readonly claims: {
    /** One answer per claim, in order; undefined where the claims can't be reached. Never throws. */
    readonly claim: (claims: readonly Claim[], token: Buffer) => Promise<readonly ClaimAnswer[] | undefined>;
    /** The events are in the stream at this sequence. Never throws. */
    readonly confirm: (claims: readonly Claim[], sequence: number) => Promise<void>;
    /** The events are certainly not in the stream, from no try: their keys are free again. Never throws. */
    readonly release: (claims: readonly Claim[], token: Buffer) => Promise<void>;
  };
  /** Resolves with the stream sequence once the message is durable; the same id is stored once. Throws `PublishError`. */
  readonly publish: (message: OutgoingMessage) => Promise<number>;
  readonly token: () => Buffer;
};

export type AcceptLimits = { readonly pastMsMax: number; readonly futureMsMax: number; readonly messageBytesMax: number };

export type Accepted = {
  readonly outcomes: readonly Outcome[];
  /** Settles when the claims are confirmed; awaited when a process drains, not by the answer. */
  readonly confirmed: Promise<unknown>;
  /** Whether Redis was away, so that only the store tells twins apart. */
  readonly unclaimed: boolean;
};

type Candidate = { readonly index: number; readonly claim: Claim; event: UsageEvent; mayBeStored: boolean };

/** Faults of one answer; of events beyond it, only the first fault is listed. */
const faultsPerRequestMax = 10_000;

const fingerprintOf = (event: string, customer: string, occurredAtMs: number | undefined, properties: string): Buffer =>
  hash('sha256', `${event}\0${customer}\0${occurredAtMs ?? ''}\0${properties}`, 'buffer').subarray(0, 6);

const conflictFaults: readonly Fault[] = [
  { field: 'idempotency_key', code: 'idempotency_conflict', message: 'was used with another payload, which stands' },
];

/** Groups records so that each message stays within its bytes; a record that is larger by itself goes alone. */
const packed = (winners: readonly Candidate[], bytesMax: number): { candidates: Candidate[]; records: Buffer[] }[] => {
  const groups: { candidates: Candidate[]; records: Buffer[] }[] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const candidate of winners) {
    const record = toAvro(candidate.event);
    if (bytes + record.length > bytesMax) {
      groups.push({ candidates: [], records: [] });
      bytes = 16;
    }
    const group = groups.at(-1);
    group?.candidates.push(candidate);
    group?.records.push(record);
    bytes += record.length;
  }
  return groups;
};

/** The same events in the same order always give the same id, so a retry of the whole request within the stream's window is stored once. */
const messageIdOf = (candidates: readonly Candidate[]): string =>
  hash('sha256', Buffer.concat(candidates.flatMap(({ claim }) => [claim.digest, claim.fingerprint])), 'base64url');

export const acceptEvents = async (
  raw: readonly unknown[],
  tenant: string,
  nowMs: number,
  limits: AcceptLimits,
  ports: AcceptPorts,
): Promise<Accepted> => {
  const outcomes: Outcome[] = new Array(raw.length);
  const set = (index: number, idempotencyKey: string | undefined, status: Status, faults: readonly Fault[] = []) => {
    outcomes[index] = { index, idempotencyKey, status, faults };
  };

  // 1. Validate; of twins within the request the first wins.
  const horizon: Horizon = { nowMs, pastMsMax: limits.pastMsMax, futureMsMax: limits.futureMsMax };
  const candidates = new Map<string, Candidate>();
  const twins: { index: number; of: Candidate; same: boolean }[] = [];
  let faultsLeft = faultsPerRequestMax;
  raw.forEach((value, index) => {
    const parsed = parseNativeEvent(value, horizon);
    if ('status' in parsed) {
      const faults = parsed.faults.slice(0, Math.max(faultsLeft, 1));
      faultsLeft -= faults.length;
      set(index, parsed.idempotencyKey, parsed.status, faults);
      return;
    }
    const fingerprint = fingerprintOf(parsed.event, parsed.customer, parsed.occurredAtMs, parsed.properties);
    const first = candidates.get(parsed.idempotencyKey);
    if (first) {
      twins.push({ index, of: first, same: first.claim.fingerprint.equals(fingerprint) });
      return;
    }
    const digest = digestOfKey(tenant, parsed.idempotencyKey);
    candidates.set(parsed.idempotencyKey, {
      index,
      claim: { digest, fingerprint, assignedMs: parsed.occurredAtMs === undefined ? nowMs : 0 },
      event: {
        tenant,
        idempotencyKey: parsed.idempotencyKey,
        keyDigest: digest,
        event: parsed.event,
        customer: parsed.customer,
        occurredAtMs: parsed.occurredAtMs ?? nowMs,
        receivedAtMs: nowMs,
        properties: parsed.properties,
      },
      mayBeStored: false,
    });
  });

  // 2. Claim.
  const all = [...candidates.values()];
  const token = ports.token();
  const answers =
    all.length === 0
      ? []
      : await ports.claims.claim(
          all.map(({ claim }) => claim),
          token,
        );
  const winners: Candidate[] = [];
  all.forEach((candidate, position) => {
    const { index, claim, event } = candidate;
    if (answers === undefined) {
      // Without claims the store alone tells twins apart, by key and time. An event whose time is ours to give would get another time on
      // a retry, so it has to wait for Redis; the others go on.
      if (claim.assignedMs === 0) winners.push(candidate);
      else
        set(index, event.idempotencyKey, 'unavailable', [
          { field: 'redis', code: 'unavailable', message: 'Redis is not available, which an event without a timestamp needs' },
        ]);
      return;
    }
    const answer = answers[position];
    if (answer?.status === 'won') {
      if (answer.assignedMs > 0) candidate.event = { ...event, occurredAtMs: answer.assignedMs };
      candidate.mayBeStored = answer.mayBeStored;
      winners.push(candidate);
    } else if (answer?.status === 'conflict') set(index, event.idempotencyKey, 'conflict', conflictFaults);
    else if (answer?.status === 'duplicate') set(index, event.idempotencyKey, 'duplicate');
    else
      set(index, event.idempotencyKey, 'in_flight', [
        { field: 'idempotency_key', code: 'in_flight', message: 'is being worked on by another request' },
      ]);
  });

  // 3. Publish.
  const confirmations: Promise<void>[] = [];
  await Promise.all(
    packed(winners, limits.messageBytesMax).map(async (group) => {
      const claims = group.candidates.map(({ claim }) => claim);
      try {
        const sequence = await ports.publish({ id: messageIdOf(group.candidates), body: toMessage(group.records) });
        for (const { index, event } of group.candidates) set(index, event.idempotencyKey, 'accepted');
        // 5. Confirm, off the path of the answer.
        if (answers !== undefined) confirmations.push(ports.claims.confirm(claims, sequence));
      } catch (error) {
        if (!(error instanceof PublishError)) throw error;
        const faults = [{ field: 'nats', code: 'unavailable', message: 'NATS JetStream did not take the event' }];
        for (const { index, event } of group.candidates) set(index, event.idempotencyKey, 'unavailable', faults);
        // A claim that was taken over stays: to free its key would let another payload, or another time of ours, in beside the first try's.
        const free = group.candidates.filter(({ mayBeStored }) => !mayBeStored && !error.mayBeStored).map(({ claim }) => claim);
        if (free.length > 0 && answers !== undefined) confirmations.push(ports.claims.release(free, token));
      }
    }),
  );

  for (const { index, of, same } of twins) {
    const first = outcomes[of.index];
    if (!same) set(index, of.event.idempotencyKey, 'conflict', conflictFaults);
    else if (first?.status === 'accepted') set(index, of.event.idempotencyKey, 'duplicate');
    else set(index, of.event.idempotencyKey, first?.status ?? 'unavailable', first?.faults ?? []);
  }
  return { outcomes, confirmed: Promise.all(confirmations), unclaimed: answers === undefined };
};
