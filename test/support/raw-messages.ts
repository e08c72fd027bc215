/** Messages put into the stream past every gateway: twins that no Redis would let pass, and the rows of amendments. */
import { hash, randomBytes } from 'node:crypto';
import { jetstream } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import type { UsageEvent } from '#schemas/usage-event.ts';
import { subjectOf } from '#schemas/usage-stream.ts';
import { toMessage, toRow } from './usage-rows.ts';

export type RawMessages = {
  /** As one message; gives its sequence. */
  readonly send: (...events: readonly UsageEvent[]) => Promise<number>;
  /** The event no longer counts; a replacement, if any, counts instead. */
  readonly amend: (event: UsageEvent, replacement?: UsageEvent) => Promise<number>;
  readonly close: () => Promise<void>;
};

export const openRawMessages = async (natsUrl: string, streamName: string): Promise<RawMessages> => {
  const connection = await connect({ servers: natsUrl.replace('nats://', '') });
  const send = async (...events: readonly UsageEvent[]): Promise<number> => {
    const body = toMessage(events.map((event) => toRow(event)));
    const ack = await jetstream(connection).publish(subjectOf(streamName), body, {
      msgID: randomBytes(8).toString('hex'),
    });
    return ack.seq;
  };
  return {
    send,
    amend: (event, replacement) => {
      const id = `amd_${randomBytes(16).toString('hex')}`;
      const digest = hash('sha256', `${event.tenant}\0${event.idempotencyKey}`, 'buffer')
        .subarray(0, 16)
        .toString('hex');
      const record: UsageEvent = {
        ...event,
        tenant: `${event.tenant}\0`,
        event: replacement ? 'replaced' : 'voided',
        idempotencyKey: `\0${id}`,
        properties: [
          ['row_digest', digest],
          ['event', event.event],
          ['key', event.idempotencyKey],
        ],
      };
      const instead = replacement && { ...replacement, idempotencyKey: `${event.idempotencyKey}\0${id}` };
      return send(record, ...(instead ? [instead] : []));
    },
    close: () => connection.close(),
  };
};
