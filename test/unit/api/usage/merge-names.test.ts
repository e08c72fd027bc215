import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { CustomerNames } from '../../../../api/customers/customer-names.postgres.ts';
import type { Db } from '../../../../api/route/define-route.ts';
import {
  mergeAllNames,
  mergedMax,
  mergeOwnNames,
  type NamesAsked,
  type UsageNames,
} from '../../../../api/usage/merge-names.ts';

const [db, asked] = [{} as Db, { renames: 0 } as NamesAsked];
const idOf = (number: number): string => `cus_${number.toString(16).padStart(32, '0')}`;
const isId = (name: string): boolean => name.startsWith('cus_');
const customer = (number: number): CustomerNames => ({
  id: idOf(number),
  externalId: `c${number}`,
  names: [`c${number}`, idOf(number)],
});

const renamedCustomers = async (): Promise<never[]> => [];

/** `later` are names that came behind the watermark. */
const worldOf = (known: readonly CustomerNames[], borne: readonly string[], later: readonly string[] = []) => {
  const there = [...new Set([...borne, ...later])].sort();
  let looked = 0;
  const usageNames: Pick<UsageNames, 'names' | 'borne'> = {
    names: async (_, kind, after, limit) =>
      there.filter((name) => name > after && (kind === 'ids') === isId(name)).slice(0, limit),
    borne: async (_, names) => new Set(names.filter((name) => borne.includes(name))),
  };
  const customers = {
    customersNamed: async (_: Db, names: readonly string[]) => {
      looked += names.length;
      const asked = new Set(names);
      return known.filter((one) => one.names.some((name) => asked.has(name)));
    },
  };
  return { ports: { usageNames, customers: { ...customers, renamedCustomers } }, looked: () => looked };
};

it('each customer whose events bear several names is one group, and all others stay as they are named', async () => {
  const worlds = fc.array(fc.constantFrom('id', 'external', 'both', 'id later', 'external later', 'unknown'), {
    maxLength: 20,
  });
  await fc.assert(
    fc.asyncProperty(worlds, async (kinds) => {
      const all = kinds.map((kind, number) => ({ kind, ...customer(number) }));
      const named = (...wanted: string[]) => all.filter(({ kind }) => wanted.includes(kind));
      const { ports } = worldOf(
        all.filter(({ kind }) => kind !== 'unknown'),
        [
          ...named('id', 'both', 'external later', 'unknown').map(({ id }) => id),
          ...named('external', 'both', 'id later', 'unknown').map(({ externalId }) => externalId),
        ],
        [...named('id later').map(({ id }) => id), ...named('external later').map(({ externalId }) => externalId)],
      );
      const both = named('both');
      expect(await mergeAllNames(ports, db, asked)).toEqual(
        both.length === 0
          ? undefined
          : { names: both.map(({ id }) => id), groups: both.map(({ externalId }) => externalId) },
      );
    }),
  );
});

it('names are looked up of the kind of which there are few, and step by step where there are many of both', async () => {
  const many = Array.from({ length: 5_000 }, (_, number) => customer(number));
  const few = worldOf(many, [...many.map(({ id }) => id), 'c7', 'c4999']);
  expect(await mergeAllNames(few.ports, db, asked)).toEqual({
    names: [idOf(7), idOf(4999)],
    groups: ['c7', 'c4999'],
  });
  expect(few.looked()).toBe(2);
  const half = many.map(({ id, externalId }, number) => (number % 2 === 0 ? id : externalId));
  const both = worldOf(many, [...half, idOf(4999)]);
  expect(await mergeAllNames(both.ports, db, asked)).toEqual({ names: [idOf(4999)], groups: ['c4999'] });
  expect(both.looked()).toBe(2_501);
});

it('more customers than a statement can be told of are not put together', async () => {
  const some = (count: number) => {
    const all = Array.from({ length: count }, (_, number) => customer(number));
    const names = new Set(all.flatMap((one) => one.names));
    const ports = {
      usageNames: {
        names: async (_: NamesAsked, kind: string, after: string, limit: number) =>
          [...names]
            .filter((name) => (kind === 'ids') === isId(name) && name > after)
            .sort()
            .slice(0, limit),
        borne: async () => names,
      },
      customers: {
        renamedCustomers,
        customersNamed: async (_: Db, looked: readonly string[]) => all.filter(({ id }) => looked.includes(id)),
      },
    };
    return mergeAllNames(ports, db, asked);
  };
  expect(await some(mergedMax)).toMatchObject({ names: { length: mergedMax } });
  expect(await some(mergedMax + 1)).toBe('too many');
});

it('of one customer only what its events bear is asked', async () => {
  const { ports, looked } = worldOf([], ['c1', 'older', idOf(1)]);
  const names = [idOf(1), 'older', 'never', 'c1'];
  expect(await mergeOwnNames(ports, asked, { id: idOf(1), externalId: 'c1', names })).toEqual({
    names: ['c1', idOf(1)],
    groups: ['older', 'older'],
  });
  expect(await mergeOwnNames(ports, asked, { ...customer(1), names: [idOf(1)] })).toBe(undefined);
  expect(looked()).toBe(0);
});

it('who was renamed is found by its external ids, where no event bears its id', async () => {
  const renamed = { id: idOf(1), externalId: 'new', names: [idOf(1), 'old', 'never', 'new'] };
  const ids = Array.from({ length: 2_500 }, (_, number) => idOf(number + 10));
  for (const others of [[], Array.from({ length: 2_500 }, (_, number) => `name-${number}`)]) {
    const { ports } = worldOf([renamed], [...ids, ...others, 'old', 'new']);
    const asked = { renames: 2 } as NamesAsked;
    const customers = { ...ports.customers, renamedCustomers: async () => [renamed] };
    const merged = { names: ['new'], groups: ['old'] };
    expect(await mergeAllNames({ ...ports, customers }, db, asked)).toEqual(merged);
  }
});
