import { describe, expect, it } from 'vitest';

import type { OrganizationPostgres } from '#platform/stores/postgres.ts';
import type { PendingAmendment } from '../../../../ingest/amendments/outbox.postgres.ts';
import { createRelay, type RelayPorts } from '../../../../ingest/amendments/relay.ts';

type Row = { id: string; published?: bigint; publishedAtMs?: number; applied?: bigint };

/**
 * An outbox, a stream and a store in memory. What the stream takes is stored once the watermark passes it, unless it is
 * lost.
 */
const world = (ids: readonly string[]) => {
  const rows = new Map<string, Row>(ids.map((id) => [id, { id }]));
  const stream: string[] = [];
  const lost = new Set<number>();
  const faults = new Set<string>();
  const state = { nowMs: 0, watermark: 0n, busy: false, lost: new AbortController(), reports: [] as unknown[] };
  const pendingOf = (row: Row): PendingAmendment => ({
    id: row.id,
    organizationId: 'org_1',
    idempotencyKey: row.id,
    createdAtMs: 0,
    removed: [],
    added: undefined,
    publishedSequence: row.published,
    publishedAtMs: row.publishedAtMs,
  });
  const ports: RelayPorts = {
    clock: { nowMs: () => state.nowMs },
    organizations: async () => ([...rows.values()].some(({ applied }) => applied === undefined) ? ['org_1'] : []),
    dbOf: (organizationId) => ({ organizationId }) as OrganizationPostgres,
    alone: async (_, work) => (state.busy ? undefined : work(state.lost.signal)),
    outbox: {
      pending: async () => [...rows.values()].filter(({ applied }) => applied === undefined).map(pendingOf),
      published: async (_, sequences, now) => {
        for (const [id, sequence] of sequences)
          Object.assign(rows.get(id) as Row, { published: sequence, publishedAtMs: now.getTime() });
      },
      applied: async (_, sequences) => {
        for (const [id, sequence] of sequences) Object.assign(rows.get(id) as Row, { applied: sequence });
      },
    },
    publish: async ({ id }) => {
      if (faults.has(id)) throw new Error(`no answer to ${id}`);
      return BigInt(stream.push(id));
    },
    appliedSequences: async (_, amendments, watermark) =>
      new Map(
        amendments.flatMap(({ id }) => {
          const at = stream.findIndex((one, index) => one === id && !lost.has(index + 1)) + 1;
          return at > 0 && BigInt(at) <= watermark ? [[id, BigInt(at)] as const] : [];
        }),
      ),
    readWatermark: async () => state.watermark,
    report: (relayed) => state.reports.push(relayed),
  };
  return { rows, stream, lost, faults, state, relay: createRelay(ports) };
};

describe('the outbox of amendments', () => {
  it('publishes what is committed, and notes its sequence once the store has it', async () => {
    const { rows, stream, state, relay } = world(['a', 'b']);
    expect(await relay()).toBe(true);
    expect(stream).toEqual(['a', 'b']);
    expect(await relay()).toBe(50);
    state.watermark = 1n;
    expect(await relay()).toBe(true);
    expect([rows.get('a')?.applied, rows.get('b')?.applied]).toEqual([1n, undefined]);
    state.watermark = 2n;
    await relay();
    expect(rows.get('b')?.applied).toBe(2n);
    expect(await relay()).toBe(5_000);
    expect(stream).toEqual(['a', 'b']);
  });

  it('that died between the stream and its note publishes again, and notes the first of the two sequences', async () => {
    const { rows, stream, state, relay } = world(['a']);
    await relay();
    // As the next process finds it.
    Object.assign(rows.get('a') as Row, { published: undefined, publishedAtMs: undefined });
    await relay();
    expect([stream, rows.get('a')?.published]).toEqual([['a', 'a'], 2n]);
    state.watermark = 2n;
    await relay();
    expect(rows.get('a')?.applied).toBe(1n);
  });

  it('publishes again what the stream lost, and only once the store is past it for a while', async () => {
    const { rows, stream, lost, state, relay } = world(['a']);
    await relay();
    lost.add(1);
    state.nowMs = 10_000;
    await relay();
    expect(stream).toEqual(['a']);
    state.watermark = 1n;
    Object.assign(rows.get('a') as Row, { publishedAtMs: 6_000 });
    await relay();
    expect(stream).toEqual(['a']);
    state.nowMs = 11_001;
    await relay();
    expect(stream).toEqual(['a', 'a']);
    expect(state.reports.at(-1)).toEqual({ published: 1, applied: 0, lost: 1 });
    state.watermark = 2n;
    await relay();
    expect(rows.get('a')?.applied).toBe(2n);
  });

  it('notes what went out where another did not, and says the fault', async () => {
    const { rows, faults, relay } = world(['a', 'b', 'c']);
    faults.add('b');
    await expect(relay()).rejects.toThrow('no answer to b');
    expect([...rows.values()].map(({ published }) => published !== undefined)).toEqual([true, false, true]);
    faults.clear();
    await relay();
    expect(rows.get('b')?.published).toBe(3n);
  });

  it('leaves an organization to another relay that is at it, and looks again soon', async () => {
    const { stream, state, relay } = world(['a']);
    state.busy = true;
    expect(await relay()).toBe(50);
    expect([stream, state.reports]).toEqual([[], []]);
    state.busy = false;
    expect(await relay()).toBe(true);
    expect(stream).toEqual(['a']);
  });

  it('begins nothing more once another one may be at it', async () => {
    const { rows, stream, state, relay } = world(['a', 'b']);
    state.lost.abort(new Error('the lock is lost'));
    await expect(relay()).rejects.toThrow('the lock is lost');
    expect([stream, rows.get('a')]).toEqual([[], { id: 'a' }]);
  });

  it('looks less often at what stays on its way for long, and soon again once anything moved', async () => {
    const { state, relay } = world(['a', 'b']);
    await relay();
    const waits: unknown[] = [];
    for (let look = 0; look < 300; look += 1) waits.push(await relay());
    expect([waits[0], waits[1], waits[100], waits[299]]).toEqual([50, 55, 550, 1_000]);
    state.watermark = 1n;
    expect([await relay(), await relay()]).toEqual([true, 50]);
  });
});
