import { describe, expect, it } from 'vitest';
import { makeWorkload, type SentEvent, type WorkloadOptions } from '../../crash/workload.ts';

const options: WorkloadOptions = {
  seed: 7,
  events: 3_000,
  lanes: 4,
  customers: ['a', 'b'],
  month: { start: Date.parse('2026-10-01T00:00:00Z'), end: Date.parse('2026-11-01T00:00:00Z') },
};

const eventsOf = (workload: ReturnType<typeof makeWorkload>): SentEvent[] =>
  workload.flat().flatMap(({ batches }) => batches.flat());

describe('the workload of a round', () => {
  it('is the same for the same seed, and another for another', () => {
    expect(makeWorkload(options)).toEqual(makeWorkload(options));
    expect(makeWorkload({ ...options, seed: 8 })).not.toEqual(makeWorkload(options));
  });

  it('sends each key for the first time once, in batches of 1 to about 200, single events among them', () => {
    const workload = makeWorkload(options);
    const firsts = eventsOf(workload).filter(({ kind }) => kind === 'first');
    expect(new Set(firsts.map(({ key }) => key)).size).toBe(firsts.length);
    expect(firsts.length).toBeGreaterThanOrEqual(options.events);
    const sizes = workload.flat().flatMap(({ batches }) => batches.map((batch) => batch.length));
    expect(Math.min(...sizes)).toBe(1);
    expect(Math.max(...sizes)).toBeGreaterThan(100);
    expect(Math.max(...sizes)).toBeLessThan(210);
  });

  it('repeats at least one event of twenty, at the same moment and later, and sends other payloads under used keys', () => {
    for (const seed of [1, 2, 3, 4, 5]) {
      const workload = makeWorkload({ ...options, seed });
      const events = eventsOf(workload);
      const repeats = events.filter(({ kind }) => kind === 'repeat').length;
      expect(repeats / events.length).toBeGreaterThan(0.05);
      expect(events.filter(({ kind }) => kind === 'variant').length).toBeGreaterThan(5);
      expect(workload.flat().some(({ batches }) => batches.length === 2)).toBe(true);
    }
  });

  it('sends a variant only after its lane has sent the first, never beside it, and with another payload or time', () => {
    for (const lane of makeWorkload(options)) {
      const earlier = new Map<string, SentEvent>();
      for (const { batches } of lane) {
        for (const event of batches.flat()) {
          if (event.kind !== 'variant') continue;
          const first = earlier.get(event.key);
          expect(first).toBeDefined();
          expect([event.input, event.atMs, event.customer]).not.toEqual([first?.input, first?.atMs, first?.customer]);
        }
        for (const event of batches.flat()) if (event.kind === 'first') earlier.set(event.key, event);
      }
    }
  });

  it('changes the payload, the time or the customer of a variant, and one of them only', () => {
    const events = eventsOf(makeWorkload(options));
    const firsts = new Map(events.filter(({ kind }) => kind === 'first').map((event) => [event.key, event]));
    const changes = events
      .filter(({ kind }) => kind === 'variant')
      .map((event) =>
        (['input', 'atMs', 'customer'] as const)
          .filter((field) => event[field] !== firsts.get(event.key)?.[field])
          .join(),
      );
    expect([...new Set(changes)].sort()).toEqual(['atMs', 'customer', 'input']);
  });

  it('gives times within the last days of the month, and a day before for a variant', () => {
    const events = eventsOf(makeWorkload(options));
    const times = events.flatMap(({ kind, atMs }) => (kind === 'variant' ? [] : (atMs ?? [])));
    expect(Math.min(...times)).toBeGreaterThanOrEqual(options.month.end - 3 * 86_400_000);
    expect(Math.max(...events.flatMap(({ atMs }) => atMs ?? []))).toBeLessThan(options.month.end);
    expect(events.some(({ atMs }) => atMs === undefined)).toBe(true);
  });
});
