/**
 * Usage events as rows and messages, written from the description of the form and apart from the code that writes them
 * in the product.
 */
import type { UsageEvent } from '#schemas/usage-event.ts';

const lengthOf = (value: number): Buffer => {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  return Buffer.from([...bytes, rest]);
};

const text = (value: string): Buffer => {
  const bytes = Buffer.from(value);
  return Buffer.concat([lengthOf(bytes.length), bytes]);
};

const integer = (value: number): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(BigInt(value));
  return bytes;
};

export const toRow = (event: UsageEvent, sequence = 0): Buffer =>
  Buffer.concat([
    ...[sequence, event.occurredAtMs, event.receivedAtMs].map(integer),
    ...[event.tenant, event.idempotencyKey, event.event, event.customer].map(text),
    lengthOf(event.properties.length),
    ...event.properties.flatMap(([path, value]) => [text(path), Buffer.from([0x15]), text(value)]),
  ]);

export const toMessage = (rows: readonly Buffer[]): Buffer => {
  const header = Buffer.alloc(8 + 4 * rows.length);
  header.write('MRM\x01', 'latin1');
  header.writeUInt32LE(rows.length, 4);
  for (const [index, row] of rows.entries()) header.writeUInt32LE(row.length, 8 + 4 * index);
  return Buffer.concat([header, ...rows]);
};

export const exampleEvent: UsageEvent = {
  tenant: 'org_1',
  idempotencyKey: 'a',
  event: 'llm.request',
  customer: 'cus_1',
  occurredAtMs: 1_795_000_000_000,
  receivedAtMs: 1_795_000_000_001,
  properties: [['cost', '0.1']],
};

/** A message of `count` events. */
export const messageOf = (count = 1): Buffer =>
  toMessage(Array.from({ length: count }, (_, index) => toRow({ ...exampleEvent, idempotencyKey: `key-${index}` })));
