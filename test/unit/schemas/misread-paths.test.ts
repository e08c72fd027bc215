import { describe, expect, it } from 'vitest';
import { misreadPath, misreadPathFaults } from '#schemas/misread-paths.ts';

describe('a path as another notation has it', () => {
  it.each([
    ['$.n', 'write n, not $.n'],
    ['$.usage.tokens', 'write usage.tokens'],
    ['properties.n', 'write n, not properties.n'],
    ['a[0]', 'an array is kept as one JSON text'],
    ['items[0].price', 'items[0] has no path'],
    ['items[*]', 'as a property of its own'],
    ['items[].price', 'as a property of its own'],
  ])('%s is refused with its cure', (path, cure) => {
    expect(misreadPath(path)).toContain(cure);
  });

  it.each([
    'n',
    'usage.tokens',
    '$',
    '$price',
    'price$',
    'properties',
    'data.properties.n',
    'size[mm]',
    'a[b].c',
    '[x]',
    'customer_id',
    '0',
  ])('%s is a path', (path) => {
    expect(misreadPath(path)).toBeUndefined();
  });
});

describe('of a meter', () => {
  it('every place of a path is looked at, and each fault has its place', () => {
    const faults = misreadPathFaults({
      property: '$.n',
      expression: 'input + properties.n * "$".m',
      filter: {
        and: [
          { property: 'a[0]', operator: 'exists', value: true },
          { or: [{ property: '$.x', operator: 'eq', value: 'y' }] },
        ],
      },
      group_by: ['region', 'properties.region'],
    });
    expect(faults.map(({ field, code }) => `${field} ${code}`)).toEqual([
      'property not_allowed',
      'expression not_allowed',
      'expression not_allowed',
      'filter.and[0].property not_allowed',
      'filter.and[1].or[0].property not_allowed',
      'group_by[1] not_allowed',
    ]);
  });

  it('what is no definition at all has no such fault: others say what is wrong with it', () => {
    for (const filter of [null, [], 'x', { and: {} }, { and: [null, 1] }, { property: 1 }, { or: 'x' }])
      expect(misreadPathFaults({ property: 1, expression: '((', filter, group_by: 'x' })).toEqual([]);
  });

  it('nothing deeper than a filter may be is looked at', () => {
    let filter: unknown = { property: '$.n', operator: 'exists', value: true };
    for (let depth = 0; depth < 100_000; depth += 1) filter = { and: [filter] };
    expect(misreadPathFaults({ filter })).toEqual([]);
  });
});
