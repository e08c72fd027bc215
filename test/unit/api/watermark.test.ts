import { expect, it } from 'vitest';
import type { Db } from '../../../api/route/define-route.ts';
import { createRecentWatermark } from '../../../api/usage/watermark.postgres.ts';

const db = {} as Db;

const createSubject = () => {
  const state = { nowMs: 1_000, checked: 5n, reads: 0 };
  const read = async () => {
    state.reads += 1;
    return state.checked;
  };
  return { state, recent: createRecentWatermark(read, { nowMs: () => state.nowMs }) };
};

it('reads of one tenth of a second share a watermark, and those of the next have a new one', async () => {
  const { state, recent } = createSubject();
  expect(await recent(db, undefined)).toBe(5n);
  state.checked = 9n;
  state.nowMs += 99;
  expect(await recent(db, undefined)).toBe(5n);
  expect(state.reads).toBe(1);
  state.nowMs += 1;
  expect(await recent(db, undefined)).toBe(9n);
});

it('one that is named and higher than what is remembered is looked for at once', async () => {
  const { state, recent } = createSubject();
  await recent(db, undefined);
  state.checked = 9n;
  expect(await recent(db, '5')).toBe(5n);
  expect(await recent(db, 'nonsense')).toBe(5n);
  expect(state.reads).toBe(1);
  expect(await recent(db, '8')).toBe(9n);
});
