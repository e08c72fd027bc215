import { expect, test } from 'vitest';
import { fitPostgres, smallPostgres } from '#platform/local/postgres-sizes.ts';

const gigabyte = 1_024 ** 3;
const unasked = { memoryMb: 0, walMb: 0 };

test.each([
  { machine: 'a small one', bytes: gigabyte / 2, memoryMb: 128, walMb: 1_024 },
  { machine: 'one of 2 GB', bytes: 2 * gigabyte, memoryMb: 256, walMb: 1_024 },
  { machine: 'one of 8 GB less what its kernel keeps', bytes: 7.75 * gigabyte, memoryMb: 992, walMb: 3_968 },
  { machine: 'one of 24 GB', bytes: 24 * gigabyte, memoryMb: 3_072, walMb: 8_192 },
  { machine: 'one of 256 GB', bytes: 256 * gigabyte, memoryMb: 4_096, walMb: 8_192 },
])('PostgreSQL takes an eighth of the memory of $machine, within bounds', ({ bytes, memoryMb, walMb }) => {
  expect(fitPostgres(unasked, bytes)).toEqual({ memoryMb, walMb });
});

test('what is asked for holds, whatever the machine has', () => {
  expect(fitPostgres({ memoryMb: 64, walMb: 80 }, 24 * gigabyte)).toEqual({ memoryMb: 64, walMb: 80 });
  expect(fitPostgres({ memoryMb: 512, walMb: 0 }, 24 * gigabyte)).toEqual({ memoryMb: 512, walMb: 2_048 });
  expect(fitPostgres({ memoryMb: 0, walMb: 80 }, gigabyte)).toEqual({ memoryMb: 128, walMb: 80 });
});

test('a server that nobody gives a size is small', () => {
  expect(smallPostgres).toEqual({ memoryMb: 128, walMb: 1_024 });
});
