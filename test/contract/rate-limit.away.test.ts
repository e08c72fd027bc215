/**
 * The rate limit while its Redis hangs, dies or is full: requests are answered, the limits hold for the process, and
 * are shared again afterwards.
 */
import { afterAll, describe, expect, it, vi } from 'vitest';
import type { RateLimit, Verdict } from '../../platform/access/rate-limit.ts';
import { createSetClock } from '../support/ingest-fakes.ts';
import {
  newOrganization,
  type RateLimitRedis,
  startRateLimitRedis,
  untilRefused,
} from '../support/rate-limit-redis.ts';

const own = await startRateLimitRedis();
const { connect, open, server } = (own ?? {}) as RateLimitRedis;
afterAll(() => own?.stop());

describe.skipIf(!own)('while Redis does not answer', () => {
  /** As a process has it, but for a clock that the test sets. */
  const openShort = async () => {
    const clock = createSetClock(Date.now());
    const faults: unknown[] = [];
    const said: string[] = [];
    const say = (...words: unknown[]) => said.push(String(words.at(-1)));
    const limiter = await open({
      clock,
      timeoutMs: 100,
      onFault: (error) => faults.push(error),
      log: { info: say, warn: say },
    });
    return { ...limiter, clock, faults, said };
  };
  const untilShared = async ({
    take,
    clock,
  }: {
    take: RateLimit['take'];
    clock: ReturnType<typeof createSetClock>;
  }) => {
    const probe = newOrganization();
    await vi.waitFor(
      async () => {
        clock.advance(1_000);
        expect(await take(probe, 'scale', 'read')).toMatchObject({ from: 'redis' });
      },
      { timeout: 60_000, interval: 20 },
    );
  };

  it('because it hangs, a take waits a tenth of a second, the next ones not at all, and one in a second asks again', async () => {
    const limiter = await openShort();
    const { take, clock, faults, said } = limiter;
    const [organization, other] = [newOrganization(), newOrganization()];
    await untilRefused(() => take(organization, 'starter', 'sensitive'));
    process.kill(server.pid, 'SIGSTOP');
    try {
      const begin = performance.now();
      const first = await Promise.all([
        ...Array.from({ length: 20 }, () => take(organization, 'starter', 'sensitive')),
        take(other, 'starter', 'sensitive'),
      ]);
      const waitedMs = performance.now() - begin;
      expect(waitedMs).toBeGreaterThanOrEqual(90);
      // One after the other they would wait for two seconds; the rest is for a machine under load.
      expect(waitedMs).toBeLessThan(1_500);
      expect(first.map(({ from }) => from)).toEqual(Array.from({ length: 21 }, () => 'process'));
      expect(first.filter(({ allowed }) => allowed)).toEqual([first.at(-1)]);
      expect(faults).toHaveLength(2);

      const localBegin = performance.now();
      for (let tries = 0; tries < 100; tries += 1) {
        expect(await take(other, 'starter', 'sensitive')).toMatchObject({ from: 'process', allowed: tries < 9 });
      }
      expect(performance.now() - localBegin).toBeLessThan(1_000);
      expect(faults).toHaveLength(2);

      clock.advance(1_000);
      let probed: Verdict | undefined;
      const probing = take(other, 'starter', 'sensitive').then((verdict) => {
        probed = verdict;
      });
      await Promise.all(Array.from({ length: 20 }, () => take(other, 'starter', 'sensitive')));
      expect(probed).toBeUndefined();
      await probing;
      expect(probed).toMatchObject({ from: 'process' });
      expect(faults).toHaveLength(3);
    } finally {
      process.kill(server.pid, 'SIGCONT');
    }
    await untilShared(limiter);
    expect(said).toEqual([
      'Redis does not answer: rate limits hold for this process alone',
      'rate limits hold over all processes again',
    ]);
  });

  it('because this process was busy itself, Redis is not taken for away', async () => {
    const { take, faults } = await openShort();
    const verdict = take(newOrganization(), 'starter', 'read');
    const begin = performance.now();
    while (performance.now() - begin < 250);
    expect(await verdict).toMatchObject({ from: 'redis', remaining: 99 });
    expect(faults).toEqual([]);
  });

  it('because it was killed in the middle, the limits hold for the process, from what Redis told last; then they are shared again', async () => {
    const limiter = await openShort();
    const { take, clock } = limiter;
    const [drained, flooded, fresh] = [newOrganization(), newOrganization(), newOrganization()];
    const allowedOf = (verdicts: readonly Verdict[]) => verdicts.filter(({ allowed }) => allowed).length;
    const takeMany = (organization: string, tries: number) =>
      Promise.all(Array.from({ length: tries }, () => take(organization, 'starter', 'sensitive')));
    expect(allowedOf(await takeMany(drained, 20))).toBe(10);

    const flood = Array.from({ length: 200 }, async (_, lane) => {
      let allowed = 0;
      for (let verdict = await take(flooded, 'scale', 'events'); ; verdict = await take(flooded, 'scale', 'events')) {
        if (verdict.allowed) allowed += 1;
        if (verdict.from === 'process') return { lane, allowed };
        await new Promise(setImmediate);
      }
    });
    await server.kill();
    expect((await Promise.all(flood)).every(({ allowed }) => allowed > 0)).toBe(true);

    expect(await takeMany(drained, 5)).toEqual(
      Array.from({ length: 5 }, () => expect.objectContaining({ allowed: false, refusedBy: 'rate', from: 'process' })),
    );
    expect(allowedOf(await takeMany(fresh, 50))).toBe(10);
    clock.advance(3_000);
    expect(allowedOf(await takeMany(drained, 20))).toBe(3);
    expect(allowedOf(await takeMany(fresh, 20))).toBe(3);

    await server.restart();
    await untilShared(limiter);
    expect(await take(newOrganization(), 'starter', 'read')).toMatchObject({
      allowed: true,
      from: 'redis',
      remaining: 99,
    });
  });

  it('because it is full, requests are answered all the same', async () => {
    const limiter = await openShort();
    const redis = await connect();
    await redis.config('SET', 'maxmemory', '1');
    try {
      expect(await limiter.take(newOrganization(), 'starter', 'read')).toMatchObject({
        allowed: true,
        from: 'process',
      });
    } finally {
      await redis.config('SET', 'maxmemory', '0');
    }
    await untilShared(limiter);
  });
});
