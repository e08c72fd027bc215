import { describe, expect, it } from 'vitest';
import { type FailureCode, failures } from '#schemas/failures.ts';
import { nameWorld } from '#schemas/name-world.ts';

const codes = Object.keys(failures) as FailureCode[];
const missing = codes.filter((code) => failures[code].status === 404 && code !== 'NOT_FOUND');

describe('a refusal', () => {
  it.each(missing)('%s tells a test key that the sandbox was looked at, beside what it tells anyone', (code) => {
    expect(nameWorld('test', { code }).detail).toBe(
      `${failures[code].cure} Looked for in the sandbox: a test key sees nothing of the live world.`,
    );
    expect(nameWorld('test', { code, detail: 'Special.' }).detail).toMatch(/^Special\. Looked for in the sandbox/);
  });

  it('of anything else, and to a live key or to nobody, is left as it is', () => {
    for (const code of codes) {
      for (const world of ['live', undefined] as const) expect(nameWorld(world, { code })).toEqual({ code });
      if (!missing.includes(code)) expect(nameWorld('test', { code }).detail).toBeUndefined();
    }
  });

  it('says of each thing that a body names and that is not there that it is not in the sandbox', () => {
    const faults = [
      { field: 'charges[0].meter', code: 'not_found', message: 'there is no meter x' },
      { field: 'name', code: 'missing', message: 'must be given' },
    ];
    expect(nameWorld('test', { code: 'VALIDATION_FAILED', faults }).faults?.map(({ message }) => message)).toEqual([
      'there is no meter x in the sandbox',
      'must be given',
    ]);
  });
});
