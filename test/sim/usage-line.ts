/**
 * The parts around ingest in memory: the stream with its consumer, and the store; with what must always hold of them.
 */
import assert from 'node:assert/strict';
import { fromRow, rowOffsets, rowsWithSequence, type UsageEvent } from '#schemas/usage-event.ts';
import type { OutgoingMessage } from '../../ingest/gateway/accept-events.ts';
import type { Subscription } from '../../ingest/stream/usage-stream.nats.ts';
import type { Process, Scheduler } from './scheduler.ts';

/** The stream says that it did not store a message. */
export class RefusalError extends Error {}

type Stored = {
  readonly id: string;
  readonly atMs: number;
  readonly body: Buffer;
  acked: boolean;
  redeliverAtMs: number;
};

export type SimStream = {
  full: boolean;
  readonly publish: (message: OutgoingMessage) => number;
  /** All events of a key, in the order of the stream. */
  readonly eventsOf: (key: string) => readonly UsageEvent[];
  readonly subscribe: (sink: Process, loseAck: () => boolean) => Subscription;
  /** Hands a message that waits, any of them, to a sink that asks. False where that is not possible now. */
  readonly deliverOne: (pick: <T>(list: readonly T[]) => T) => boolean;
  readonly isDrained: () => boolean;
  readonly replay: (store: SimStore) => void;
};

const duplicateWindowMs = 120_000;
const ackWaitMs = 15_000;

/** The rows of a message in their order; `lengths` stand in front of them. */
const rowsOf = (body: Buffer, sequence: number): Buffer[] => {
  const copy = Buffer.from(body);
  const count = copy.readUInt32LE(4);
  const rows = rowsWithSequence(copy, sequence);
  let at = 0;
  return Array.from({ length: count }, (_, row) => {
    at += copy.readUInt32LE(8 + 4 * row);
    return rows.subarray(at - copy.readUInt32LE(8 + 4 * row), at);
  });
};

export const createSimStream = (clock: { readonly nowMs: () => number }, scheduler: Scheduler): SimStream => {
  const stored: Stored[] = [];
  const sequences = new Map<string, number>();
  const byKey = new Map<string, UsageEvent[]>();
  type Asking = {
    readonly sink: Process;
    readonly loseAck: () => boolean;
    readonly take: (message: number | undefined) => void;
  };
  const asking: Asking[] = [];
  const waiting = (): number[] =>
    stored.flatMap(({ acked, redeliverAtMs }, index) => (acked || redeliverAtMs > clock.nowMs() ? [] : [index + 1]));
  const of = (sequence: number): Stored => stored[sequence - 1] as Stored;
  const stream: SimStream = {
    full: false,
    publish: ({ id, body }) => {
      if (stream.full) throw new RefusalError('maximum bytes exceeded');
      const known = sequences.get(id);
      if (known !== undefined && clock.nowMs() - of(known).atMs < duplicateWindowMs) return known;
      stored.push({ id, body: Buffer.from(body), atMs: clock.nowMs(), acked: false, redeliverAtMs: 0 });
      sequences.set(id, stored.length);
      for (const event of rowsOf(body, stored.length).map(fromRow))
        byKey.set(event.idempotencyKey, [...(byKey.get(event.idempotencyKey) ?? []), event]);
      return stored.length;
    },
    eventsOf: (key) => byKey.get(key) ?? [],
    subscribe: (sink, loseAck) => {
      let stopped = false;
      return {
        stop: async () => {
          stopped = true;
          for (const one of asking.filter((other) => other.sink === sink)) one.take(undefined);
        },
        messages: (async function* () {
          while (!stopped) {
            const sequence = await new Promise<number | undefined>((take) => asking.push({ sink, loseAck, take }));
            if (sequence === undefined) return;
            const message = of(sequence);
            yield {
              sequence,
              body: Buffer.from(message.body),
              publishedAtMs: message.atMs,
              ack: () => {
                if (!sink.alive || loseAck()) return;
                scheduler.later(`${sink.name}: ack of ${sequence} arrives`, () => {
                  message.acked = true;
                });
              },
              working: () => {
                if (sink.alive) message.redeliverAtMs = clock.nowMs() + ackWaitMs;
              },
            };
          }
        })(),
      };
    },
    deliverOne: (pick) => {
      const sinks = asking.filter(({ sink }) => sink.alive);
      const messages = waiting();
      if (sinks.length === 0 || messages.length === 0) return false;
      const one = pick(sinks);
      const sequence = pick(messages);
      asking.splice(asking.indexOf(one), 1);
      of(sequence).redeliverAtMs = clock.nowMs() + ackWaitMs;
      scheduler.note(`${one.sink.name}: gets ${sequence}`);
      one.take(sequence);
      return true;
    },
    isDrained: () => stored.every(({ acked }) => acked),
    replay: (store) => {
      for (const [index, { body }] of stored.entries()) store.insert([{ sequence: index + 1, body }]);
    },
  };
  return stream;
};

export type SimStore = {
  readonly insert: (messages: readonly { readonly sequence: number; readonly body: Buffer }[]) => void;
  readonly eventsOf: (key: string) => readonly UsageEvent[];
  /** What billing sees, as text: two stores with the same text bill the same. */
  readonly billed: () => string;
};

/**
 * As ReplacingMergeTree keeps rows: one for each tenant, name, customer, day and key, and of twins the one with the
 * lowest sequence.
 */
export const createSimStore = (): SimStore => {
  const rows = new Map<string, { readonly sequence: number; readonly event: UsageEvent }>();
  return {
    insert: (messages) => {
      for (const { sequence, body } of messages)
        for (const row of rowsOf(body, sequence)) {
          assert.equal(row.readUInt32LE(rowOffsets.sequence), sequence, 'a row bears the sequence of its message');
          const event = fromRow(row);
          const day = Math.floor(event.occurredAtMs / 86_400_000);
          const orderKey = JSON.stringify([event.idempotencyKey, event.tenant, event.event, event.customer, day]);
          const held = rows.get(orderKey);
          if (!held || sequence < held.sequence) rows.set(orderKey, { sequence, event });
        }
    },
    eventsOf: (key) => [...rows.values()].filter(({ event }) => event.idempotencyKey === key).map(({ event }) => event),
    billed: () =>
      JSON.stringify(
        [...rows].sort(([a], [b]) => (a < b ? -1 : 1)).map(([orderKey, { event }]) => [orderKey, event.properties]),
      ),
  };
};
