import { describe, expect, it } from 'vitest';
import { attemptsMax, causeOf, deadEnd, fateOf } from '#platform/work/lease-rules.ts';
import { takeNext } from '#platform/work/leased-jobs.postgres.ts';

describe('a job after a fault', () => {
  it('waits twice as long after each bug, and is at its dead end with the last attempt', () => {
    const fates = Array.from({ length: attemptsMax }, (_, index) => fateOf(index + 1, false));
    expect(fates.map(({ isDead, attempts, pauseSeconds }) => [isDead, attempts, pauseSeconds])).toEqual([
      [false, 1, 1],
      [false, 2, 2],
      [false, 3, 4],
      [false, 4, 8],
      [true, 5, 16],
    ]);
  });

  it('has lost no attempt where a part was down, however often', () => {
    expect(fateOf(1, true)).toEqual({ isDead: false, attempts: 0, pauseSeconds: 1 });
    expect(fateOf(20, true)).toEqual({ isDead: false, attempts: 19, pauseSeconds: 1 });
  });

  it('is at its dead end at once where no attempt would help', () => {
    expect(deadEnd(1)).toMatchObject({ isDead: true, attempts: 1 });
  });

  it('keeps words of a bounded length', () => {
    expect(causeOf(new Error('why'))).toBe('why');
    expect(causeOf('x'.repeat(5_000))).toHaveLength(2_000);
  });
});

describe('the next job', () => {
  const taking = async (attempts: number[]) => {
    const givenUp: string[] = [];
    const left = attempts.map((attempt) => ({ attempt }));
    const next = await takeNext(
      async () => left.shift(),
      async ({ attempt }, error) => givenUp.push(`${attempt}: ${error.message}`),
    );
    return { next, givenUp };
  };

  it('is the first one, or none', async () => {
    expect(await taking([20, 1])).toEqual({ next: { attempt: 20 }, givenUp: [] });
    expect(await taking([])).toEqual({ next: undefined, givenUp: [] });
  });

  it('is none that took twenty processes with it: those come to their dead end by name', async () => {
    const died = 'the process that worked on it died, 20 times';
    expect(await taking([21, 22, 3])).toEqual({
      next: { attempt: 3 },
      givenUp: [`21: ${died}`, `22: ${died}`],
    });
    expect(fateOf(21, false).isDead).toBe(true);
  });
});
