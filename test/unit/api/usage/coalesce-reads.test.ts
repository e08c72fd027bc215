import { expect, it } from 'vitest';
import { coalesceReads } from '../../../../api/usage/coalesce-reads.ts';

/** A read that ends when it is told to. */
const createSlowRead = () => {
  const reads: {
    readonly items: readonly string[];
    readonly end: () => void;
    readonly fail: (error: Error) => void;
  }[] = [];
  const read = (_: string, items: readonly string[]): Promise<readonly string[]> =>
    new Promise((resolve, reject) => {
      reads.push({ items, end: () => resolve(items.map((item) => item.toUpperCase())), fail: reject });
    });
  return { reads, read };
};

const settle = () => new Promise((resolve) => setImmediate(resolve));

it('the first read begins at once, and those that come meanwhile are one', async () => {
  const { reads, read } = createSlowRead();
  const ask = coalesceReads({ readsMax: 1, itemsMax: 10 }, read);
  const answers = Promise.all(['a', 'b', 'c', 'b'].map((item) => ask('shape', 'shape', item)));
  expect(reads.map(({ items }) => items)).toEqual([['a']]);
  reads[0]?.end();
  await settle();
  expect(reads.map(({ items }) => items)).toEqual([['a'], ['b', 'c', 'b']]);
  reads[1]?.end();
  expect(await answers).toEqual(['A', 'B', 'C', 'B']);
});

it('reads of another shape wait for nobody', () => {
  const { reads, read } = createSlowRead();
  const ask = coalesceReads({ readsMax: 1, itemsMax: 10 }, read);
  void ask('one', 'one', 'a');
  void ask('other', 'other', 'b');
  expect(reads).toHaveLength(2);
});

it('a read takes no more items than it may, and the rest go with the next', async () => {
  const { reads, read } = createSlowRead();
  const ask = coalesceReads({ readsMax: 2, itemsMax: 2 }, read);
  const answers = Promise.all(['a', 'b', 'c', 'd', 'e'].map((item) => ask('shape', 'shape', item)));
  expect(reads.map(({ items }) => items)).toEqual([['a'], ['b']]);
  reads[0]?.end();
  await settle();
  expect(reads[2]?.items).toEqual(['c', 'd']);
  reads[1]?.end();
  await settle();
  expect(reads[3]?.items).toEqual(['e']);
  for (const { end } of reads) end();
  expect(await answers).toEqual(['A', 'B', 'C', 'D', 'E']);
});

it('a read that fails fails for all who shared it, and for nobody else', async () => {
  const { reads, read } = createSlowRead();
  const ask = coalesceReads({ readsMax: 1, itemsMax: 10 }, read);
  const [first, second, third] = ['a', 'b', 'c'].map((item) => ask('shape', 'shape', item));
  reads[0]?.end();
  await expect(first).resolves.toBe('A');
  await settle();
  reads[1]?.fail(new Error('away'));
  await expect(second).rejects.toThrow('away');
  await expect(third).rejects.toThrow('away');
  const later = ask('shape', 'shape', 'd');
  reads[2]?.end();
  await expect(later).resolves.toBe('D');
});
