import { describe, expect, it } from 'vitest';
import { type Amount, parseAmount } from '#schemas/money.ts';
import { progressOf, resultToCsv, resultToJson } from '../../../../api/simulations/simulation-json.ts';
import type { SimulationResult } from '../../../../api/simulations/simulations.postgres.ts';

describe('progress', () => {
  const running = { state: 'running' as const, customersTotal: 1_000, customersDone: 250, runningMs: 2_000 };
  it.each([
    [
      { ...running, state: 'queued' as const, customersTotal: null, customersDone: 0, runningMs: null },
      [0, null, 0, null, null],
    ],
    [{ ...running, customersDone: 0 }, [0, 1_000, 0, null, null]],
    [{ ...running, runningMs: 0 }, [250, 1_000, 0.25, null, null]],
    [running, [250, 1_000, 0.25, 125, 6]],
    // A share of 1 is said of all alone.
    [{ ...running, customersTotal: 10_000, customersDone: 9_999 }, [9_999, 10_000, 0.999, 4_999.5, 0]],
    [{ ...running, state: 'completed' as const, customersDone: 1_000 }, [1_000, 1_000, 1, 500, 0]],
    [{ ...running, state: 'completed' as const, customersTotal: 0, customersDone: 0 }, [0, 0, 1, null, 0]],
    [{ ...running, state: 'cancelled' as const }, [250, 1_000, 0.25, 125, 0]],
  ])('%j: %j', (simulation, expected) => {
    expect(Object.values(progressOf(simulation))).toEqual(expected);
  });
});

const result = (baseline: string | null, amount: string | null): SimulationResult => ({
  candidate: 2,
  customerId: 'cus_1',
  externalId: '+1',
  currency: 'USD',
  baseline: baseline === null ? null : (parseAmount(baseline) as Amount),
  amount: amount === null ? null : (parseAmount(amount) as Amount),
  failure: amount === null ? 'candidate_not_priced' : null,
  failed: null,
});

it('a result is written in minor units, and one without a price has no difference', () => {
  expect(resultToJson(result('3', '1'))).toMatchObject({
    baseline: '3.00',
    amount: '1.00',
    difference: '-2.00',
    percent: '-66.6667',
  });
  expect(resultToJson(result('3', null))).toMatchObject({
    amount: null,
    difference: null,
    percent: null,
    failure: 'candidate_not_priced',
  });
});

it('as CSV it has no formula of a caller, and our numbers as they are', () => {
  const names = ['A', '=1+1, "x"'];
  expect(resultToCsv(result('3', '1'), names)).toBe(`cus_1,'+1,2,"'=1+1, ""x""",USD,3.00,1.00,-2.00,-66.6667,,,,,\r\n`);
  expect(resultToCsv(result('3', null), names)).toBe(
    `cus_1,'+1,2,"'=1+1, ""x""",USD,3.00,,,,candidate_not_priced,,,,\r\n`,
  );
  const unrated: SimulationResult = {
    ...result('3', null),
    failure: 'candidate_not_rated',
    failed: {
      period: { start: Date.UTC(2026, 9, 1), end: Date.UTC(2026, 10, 1) },
      cause: 'usage_unreadable',
      message: '=too, many',
    },
  };
  expect(resultToCsv(unrated, ['A', 'B'])).toBe(
    `cus_1,'+1,2,B,USD,3.00,,,,candidate_not_rated,2026-10-01T00:00:00.000Z,2026-11-01T00:00:00.000Z,usage_unreadable,"'=too, many"\r\n`,
  );
});
