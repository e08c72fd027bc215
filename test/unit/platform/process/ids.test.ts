import { expect, it } from 'vitest';
import { newId } from '#platform/process/ids.ts';

it('ids of a process sort in the order of their making, also within a millisecond, and are UUIDv7', () => {
  const before = Date.now();
  const ids = Array.from({ length: 2_000 }, () => newId('inv'));
  const after = Date.now();
  expect(ids).toEqual(ids.toSorted());
  expect(new Set(ids).size).toBe(ids.length);
  for (const id of ids) expect(id).toMatch(/^inv_[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}$/);
  const instants = ids.map((id) => Number.parseInt(id.slice(4, 16), 16));
  expect(instants.every((instant) => instant >= before && instant <= after)).toBe(true);
  // What is behind the counter stays a secret of its own.
  expect(new Set(ids.map((id) => id.slice(20))).size).toBe(ids.length);
});
