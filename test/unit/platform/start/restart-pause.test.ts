import { expect, test } from 'vitest';
import { nextPause } from '#platform/start/restart-pause.ts';

const backoff = { firstMs: 200, longestMs: 5000, healthyAfterMs: 10_000 };

test('pauses between restarts double from 200 ms up to 5 s', () => {
  const pauses: number[] = [];
  for (let pause = 0; pauses.length < 7; pauses.push(pause)) pause = nextPause(pause, 50, backoff);
  expect(pauses).toEqual([200, 400, 800, 1600, 3200, 5000, 5000]);
});

test.each([
  [9999, 5000],
  [10_000, 200],
])('after %i ms of life the next pause is %i ms', (livedMs, pause) => {
  expect(nextPause(5000, livedMs, backoff)).toBe(pause);
});
