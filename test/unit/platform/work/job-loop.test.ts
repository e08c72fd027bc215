import { describe, expect, it, vi } from 'vitest';
import { startJobLoop } from '#platform/work/job-loop.ts';

const ignore = () => {};

/** Work whose looks are ended by hand. */
const byHand = () => {
  const looks: ((found: boolean | number) => void)[] = [];
  const work = () => new Promise<boolean | number>((resolve) => looks.push(resolve));
  return { looks, work };
};
const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('a loop that waits for work', () => {
  it('looks at once when it is woken', async () => {
    const { looks, work } = byHand();
    const loop = startJobLoop({ work, lanes: 1, pollMs: 60_000, onFault: ignore });
    looks[0]?.(false);
    await turn();
    expect(looks).toHaveLength(1);
    loop.wake();
    await turn();
    expect(looks).toHaveLength(2);
    looks[1]?.(60_000);
    await loop.stop();
  });

  it('looks again where it is woken in the middle of a look, which may have missed what it is woken for', async () => {
    const { looks, work } = byHand();
    const loop = startJobLoop({ work, lanes: 1, pollMs: 60_000, onFault: ignore });
    loop.wake();
    looks[0]?.(false);
    await turn();
    expect(looks).toHaveLength(2);
    looks[1]?.(false);
    await turn();
    expect(looks).toHaveLength(2);
    await loop.stop();
  });

  it('wakes every lane', async () => {
    const { looks, work } = byHand();
    const loop = startJobLoop({ work, lanes: 3, pollMs: 60_000, onFault: ignore });
    for (const end of looks.splice(0)) end(false);
    await turn();
    loop.wake();
    await turn();
    expect(looks).toHaveLength(3);
    for (const end of looks) end(false);
    await loop.stop();
  });
});

describe('a loop', () => {
  it('waits as long as the work says', async () => {
    vi.useFakeTimers();
    try {
      const work = vi.fn(async () => 250);
      const loop = startJobLoop({ work, lanes: 1, pollMs: 10, onFault: ignore });
      await vi.advanceTimersByTimeAsync(249);
      expect(work).toHaveBeenCalledTimes(1);
      await vi.advanceTimersByTimeAsync(1);
      expect(work).toHaveBeenCalledTimes(2);
      await loop.stop();
    } finally {
      vi.useRealTimers();
    }
  });

  it('that is stopped lets the running look finish, and takes no other', async () => {
    const { looks, work } = byHand();
    const loop = startJobLoop({ work, lanes: 1, pollMs: 1, onFault: ignore });
    let stopped = false;
    const stopping = loop.stop().then(() => {
      stopped = true;
    });
    await turn();
    expect(stopped).toBe(false);
    looks[0]?.(true);
    await stopping;
    expect(looks).toHaveLength(1);
  });

  it('looks soon for what a fault gave back, and as seldom as ever once there was work', async () => {
    vi.useFakeTimers();
    try {
      const finds = [false, new Error('away'), false, true, false];
      const work = vi.fn(async () => {
        const found = finds.shift() ?? false;
        if (found instanceof Error) throw found;
        return found;
      });
      const loop = startJobLoop({ work, lanes: 1, pollMs: 60_000, onFault: ignore });
      await vi.advanceTimersByTimeAsync(60_000);
      // The pauses after the fault and after the look in vain, at their longest.
      await vi.advanceTimersByTimeAsync(100 + 200);
      expect(work).toHaveBeenCalledTimes(5);
      await vi.advanceTimersByTimeAsync(59_000);
      expect(work).toHaveBeenCalledTimes(5);
      await loop.stop();
    } finally {
      vi.useRealTimers();
    }
  });

  it('is not woken out of the pause after a fault', async () => {
    const onFault = vi.fn();
    const loop = startJobLoop({
      work: () => Promise.reject(new Error('away')),
      lanes: 1,
      pollMs: 60_000,
      onFault,
    });
    await turn();
    loop.wake();
    await turn();
    expect(onFault).toHaveBeenCalledTimes(1);
    await loop.stop();
  });
});
