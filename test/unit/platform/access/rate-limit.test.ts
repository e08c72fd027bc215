/**
 * What the limiter does without Redis: the headers, the limiter of a process alone, and the example of the documents.
 */
import { readFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { createRateLimit, rateLimitHeaders, type Verdict } from '../../../../platform/access/rate-limit.ts';
import { createLog } from '../../../../platform/process/log.ts';
import { connectRedis } from '../../../../platform/stores/redis.ts';
import { createSetClock } from '../../../support/ingest-fakes.ts';

const noon = Date.UTC(2026, 10, 21, 12);

/** A limiter whose Redis is away: nothing listens on port 1. */
const alone = () => {
  const clock = createSetClock(noon);
  const faults: unknown[] = [];
  const redis = connectRedis('redis://127.0.0.1:1', 100, createLog('test', 'silent'));
  closing.push(() => redis.disconnect());
  const limiter = createRateLimit({ redis, clock, onFault: (error) => faults.push(error) });
  return { clock, faults, take: limiter.take };
};
const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
  vi.useRealTimers();
  vi.restoreAllMocks();
});

describe('a process that decides alone', () => {
  it('lets through a burst, then refuses and says when to come back', async () => {
    const { take } = alone();
    for (let left = 9; left >= 0; left -= 1) {
      expect(await take('org_1', 'starter', 'sensitive')).toMatchObject({
        allowed: true,
        remaining: left,
        resetSeconds: 10 - left,
        from: 'process',
      });
    }
    expect(await take('org_1', 'starter', 'sensitive')).toEqual({
      allowed: false,
      refusedBy: 'rate',
      limit: 10,
      remaining: 0,
      resetSeconds: 10,
      retryAfterSeconds: 1,
      from: 'process',
      quota: { limit: 5_000, used: 10, resetSeconds: 43_200 },
    });
    expect(await take('org_2', 'starter', 'sensitive')).toMatchObject({ allowed: true, remaining: 9 });
    expect(await take('org_1', 'starter', 'write')).toMatchObject({ allowed: true, remaining: 49 });
  });

  it('refills at the rate, to the burst and not above it; a clock that is set back takes nothing away', async () => {
    const { clock, take } = alone();
    const allowed = async (tries: number): Promise<number> => {
      const verdicts = await Promise.all(Array.from({ length: tries }, () => take('org_1', 'starter', 'write')));
      return verdicts.filter((verdict) => verdict.allowed).length;
    };
    expect(await allowed(60)).toBe(50);
    clock.advance(99);
    expect(await allowed(1)).toBe(0);
    clock.advance(1);
    expect(await allowed(2)).toBe(1);
    clock.advance(1_250);
    expect(await allowed(20)).toBe(12);
    clock.advance(-3_600_000);
    expect(await allowed(1)).toBe(0);
    clock.advance(50);
    expect(await allowed(2)).toBe(1);
    clock.advance(3_600_000);
    expect(await allowed(60)).toBe(50);
  });

  it('refuses what is above the quota until the day in UTC ends, and then begins anew', async () => {
    const { clock, take } = alone();
    clock.set(Date.UTC(2026, 10, 21, 1));
    for (let used = 1; used <= 5_000; used += 1) {
      clock.advance(1_000);
      expect(await take('org_1', 'starter', 'sensitive')).toMatchObject({ allowed: true, quota: { used } });
    }
    clock.set(Date.UTC(2026, 10, 21, 23, 59, 57));
    const refused = await take('org_1', 'starter', 'sensitive');
    expect(refused).toMatchObject({
      allowed: false,
      refusedBy: 'quota',
      remaining: 10,
      retryAfterSeconds: 3,
      quota: { used: 5_000 },
    });
    clock.advance(3_000);
    expect(await take('org_1', 'starter', 'sensitive')).toMatchObject({
      allowed: true,
      quota: { used: 1, resetSeconds: 86_400 },
    });
  });

  it('asks Redis once a second and not at each take', async () => {
    const { clock, faults, take } = alone();
    for (let tries = 0; tries < 100; tries += 1) await take('org_1', 'scale', 'read');
    expect(faults).toHaveLength(1);
    clock.advance(999);
    await take('org_1', 'scale', 'read');
    expect(faults).toHaveLength(1);
    clock.advance(1);
    await Promise.all(Array.from({ length: 100 }, (_, index) => take(`org_${index}`, 'scale', 'read')));
    expect(faults).toHaveLength(2);
    clock.advance(-3_600_000);
    await take('org_1', 'scale', 'read');
    expect(faults, 'a clock that is set back does not keep it away').toHaveLength(3);
  });

  it('[I10] remembers 10,000 buckets; the one that was used longest ago makes room and begins full', async () => {
    const { take } = alone();
    for (let used = 0; used < 10; used += 1) await take('org_first', 'starter', 'sensitive');
    let others = 0;
    const takeForOthers = async (count: number) => {
      for (const end = others + count; others < end; others += 1) await take(`org_${others}`, 'starter', 'sensitive');
    };
    await takeForOthers(9_999);
    expect(await take('org_first', 'starter', 'sensitive')).toMatchObject({ allowed: false });
    await takeForOthers(9_999);
    expect(await take('org_first', 'starter', 'sensitive')).toMatchObject({ allowed: false });
    await takeForOthers(10_000);
    expect(await take('org_first', 'starter', 'sensitive')).toMatchObject({ allowed: true, remaining: 9 });
  });

  it('does not take a block that is no whole number of tokens', () => {
    const redis = connectRedis('redis://127.0.0.1:1', 100, createLog('test', 'silent'));
    for (const events of [0, -1, 2.5, Number.NaN]) {
      expect(() => createRateLimit({ redis, clock: createSetClock(noon), blockSize: { events } })).toThrow(
        'a block is a whole number',
      );
    }
  });
});

describe('the headers of an answer', () => {
  const verdict: Verdict = {
    allowed: true,
    refusedBy: undefined,
    limit: 100,
    remaining: 98,
    resetSeconds: 1,
    retryAfterSeconds: 0,
    from: 'redis',
    quota: { limit: 1_000, used: 1, resetSeconds: 3_600 },
  };
  const plain = { 'X-RateLimit-Limit': '100', 'X-RateLimit-Remaining': '98', 'X-RateLimit-Reset': '1' };

  it('are limit, remaining and reset, and Retry-After only where it was refused', () => {
    expect(rateLimitHeaders(verdict)).toEqual(plain);
    const refused: Verdict = { ...verdict, allowed: false, refusedBy: 'rate', retryAfterSeconds: 2 };
    expect(rateLimitHeaders(refused)).toEqual({ ...plain, 'Retry-After': '2' });
  });

  it.each([
    [799, undefined],
    [800, 'used=800, limit=1000, reset=3600'],
    [801, 'used=801, limit=1000, reset=3600'],
    [1_000, 'used=1000, limit=1000, reset=3600'],
  ])('warn from 80 %% of the quota on: at %i of 1,000 %s', (used, warning) => {
    expect(rateLimitHeaders({ ...verdict, quota: { ...verdict.quota, used } })['X-Quota-Warning']).toBe(warning);
  });
});

describe('the example of docs/rate-limits.md', () => {
  type SendPatiently = (
    send: () => Promise<Response>,
    options?: { attemptsMax?: number; waitMsMax?: number },
  ) => Promise<Response>;

  const load = async (): Promise<SendPatiently> => {
    const document = readFileSync(new URL('../../../../docs/rate-limits.md', import.meta.url), 'utf8');
    const example = /```ts\n(.*?)```/s.exec(document)?.[1] ?? '';
    const code = stripTypeScriptTypes(example);
    return (await import(/* @vite-ignore */ `data:text/javascript;base64,${Buffer.from(code).toString('base64')}`))
      .sendPatiently;
  };
  const refused = (status: number, retryAfter: string) =>
    new Response('{}', { status, headers: { 'Retry-After': retryAfter } });
  const answering = (answers: readonly Response[]) => {
    const sent: Response[] = [];
    return { sent, send: async () => answers[sent.push(answers[sent.length] as Response) - 1] as Response };
  };

  it('waits as long as Retry-After says and a random time more, which grows, and gives back the answer that was no refusal', async () => {
    const sendPatiently = await load();
    vi.useFakeTimers();
    vi.spyOn(Math, 'random').mockReturnValue(0.5);
    const { sent, send } = answering([refused(429, '2'), refused(503, '1'), new Response('done')]);
    const answer = sendPatiently(send);
    await vi.advanceTimersByTimeAsync(2_249);
    expect(sent).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(sent).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(1_499);
    expect(sent).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(1);
    expect(await (await answer).text()).toBe('done');
  });

  it('gives up after the tries it was given, and at once where the quota of the day is used up or the request is wrong', async () => {
    const sendPatiently = await load();
    vi.useFakeTimers();
    const often = answering(Array.from({ length: 9 }, () => refused(429, '1')));
    const answer = sendPatiently(often.send, { attemptsMax: 3 });
    await vi.runAllTimersAsync();
    expect((await answer).status).toBe(429);
    expect(often.sent).toHaveLength(3);
    for (const once of [answering([refused(429, '3600')]), answering([refused(422, '1')])]) {
      expect((await sendPatiently(once.send)).status).toBeGreaterThan(400);
      expect(once.sent).toHaveLength(1);
    }
  });
});
