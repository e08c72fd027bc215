import { describe, expect, it } from 'vitest';
import type { Fault } from '#schemas/fault.ts';
import { readAsked } from '../../../../api/simulations/read-asked.ts';

const now = Date.UTC(2026, 10, 15);
const candidate = { plan: 'pro' };
const good = {
  from: '2026-10-01T00:00:00Z',
  to: '2026-11-01T00:00:00Z',
  customers: { all: true },
  candidates: [candidate],
};
const read = (more: object) => {
  const faults: Fault[] = [];
  const asked = readAsked({ ...good, ...more }, now, faults);
  expect(asked === undefined).toBe(faults.length > 0);
  return { asked, faults: faults.map(({ field, code }) => [field, code]) };
};

it('is read as it is meant, with the baseline that subscriptions have', () => {
  expect(read({}).asked).toEqual({
    name: null,
    period: { start: Date.UTC(2026, 9), end: Date.UTC(2026, 10) },
    customers: { kind: 'all' },
    baseline: undefined,
    candidates: [{ field: 'candidates[0]', plan: 'pro', version: undefined }],
  });
  expect(
    read({ name: 'N', baseline: { plan: 'pro', version: 2 }, customers: { ids: ['a', 'b'] } }).asked,
  ).toMatchObject({
    name: 'N',
    customers: { kind: 'ids', ids: ['a', 'b'] },
    baseline: { field: 'baseline', plan: 'pro', version: 2 },
  });
  expect(read({ baseline: 'current', customers: { plan: 'pro' } }).asked?.customers).toEqual({
    kind: 'plan',
    plan: 'pro',
  });
});

describe('time', () => {
  it.each([
    ['2026-09-01T00:00:00Z', '2026-11-01T00:00:00Z', []],
    ['2025-11-01T00:00:00Z', '2026-11-01T00:00:00Z', []],
    // The same instants in another zone.
    ['2026-10-01T02:00:00+02:00', '2026-10-31T23:00:00-01:00', []],
    ['2025-10-01T00:00:00Z', '2026-11-01T00:00:00Z', [['to', 'out_of_range']]],
    ['2026-10-02T00:00:00Z', '2026-11-01T00:00:00Z', [['from', 'not_allowed']]],
    ['2026-10-01T00:00:00.001Z', '2026-11-01T00:00:00Z', [['from', 'not_allowed']]],
    ['2026-10-01T00:00:00Z', '2026-10-01T00:00:00Z', [['to', 'out_of_range']]],
    ['2026-11-01T00:00:00Z', '2026-10-01T00:00:00Z', [['to', 'out_of_range']]],
    ['2026-10-01T00:00:00Z', '2026-12-01T00:00:00Z', [['to', 'out_of_range']]],
    ['2026-10', '2026-11-01T00:00:00Z', [['from', 'wrong_format']]],
    ['1999-10-01T00:00:00Z', '2026-11-01T00:00:00Z', [['from', 'out_of_range']]],
    [
      undefined,
      undefined,
      [
        ['from', 'missing'],
        ['to', 'missing'],
      ],
    ],
  ])('from %s to %s: %s', (from, to, expected) => {
    expect(read({ from, to }).faults).toEqual(expected);
  });
});

describe('customers', () => {
  it.each([
    [undefined, [['customers', 'missing']]],
    [{}, [['customers', 'missing']]],
    [{ all: true, plan: 'p' }, [['customers', 'not_allowed']]],
    [{ all: false }, [['customers.all', 'not_allowed']]],
    [{ ids: [] }, [['customers.ids', 'wrong_length']]],
    [{ ids: ['a', 'b', 'a'] }, [['customers.ids[2]', 'duplicate']]],
    [
      { ids: ['a', 1, '\u0000'] },
      [
        ['customers.ids[1]', 'wrong_type'],
        ['customers.ids[2]', 'wrong_format'],
      ],
    ],
    [{ ids: Array.from({ length: 1_001 }, (_, index) => `c${index}`) }, [['customers.ids', 'wrong_length']]],
    [{ plan: '!' }, [['customers.plan', 'wrong_format']]],
    [
      { some: 1 },
      [
        ['customers.some', 'unknown_field'],
        ['customers', 'missing'],
      ],
    ],
  ])('%j: %s', (customers, expected) => {
    expect(read({ customers }).faults).toEqual(expected);
  });
});

describe('plans', () => {
  const flat = { code: 'base', name: 'B', price: { model: 'flat', amount: '1' } };
  it.each([
    [undefined, [['candidates', 'missing']]],
    [[], [['candidates', 'wrong_length']]],
    [Array.from({ length: 11 }, () => candidate), [['candidates', 'wrong_length']]],
    [[candidate, 1], [['candidates[1]', 'wrong_type']]],
    [[{ plan: 'p', version: 0 }], [['candidates[0].version', 'out_of_range']]],
    [[{ plan: 'p', version: '1' }], [['candidates[0].version', 'wrong_type']]],
    [[{ plan: 'p', currency: 'USD' }], [['candidates[0].currency', 'unknown_field']]],
    [
      [candidate, { currency: 'USD' }],
      [
        ['candidates[1].name', 'missing'],
        ['candidates[1].charges', 'missing'],
      ],
    ],
    [[{ name: 'N', currency: 'USD', charges: [flat, flat] }], [['candidates[0].charges[1].code', 'duplicate']]],
    [
      [{ name: 'N', currency: 'XXX', charges: [{ ...flat, price: { model: 'flat', amount: 1 } }] }],
      [
        ['candidates[0].currency', 'not_allowed'],
        ['candidates[0].charges[0].price.amount', 'wrong_type'],
      ],
    ],
  ])('%j: %s', (candidates, expected) => {
    expect(read({ candidates }).faults).toEqual(expected);
  });

  it.each([
    ['before', [['baseline', 'not_allowed']]],
    [
      { name: 'N', currency: 'USD', charges: [flat] },
      [
        ['baseline.name', 'unknown_field'],
        ['baseline.currency', 'unknown_field'],
        ['baseline.charges', 'unknown_field'],
        ['baseline.plan', 'missing'],
      ],
    ],
  ])('the baseline %j: %s', (baseline, expected) => {
    expect(read({ baseline }).faults).toEqual(expected);
  });
});
