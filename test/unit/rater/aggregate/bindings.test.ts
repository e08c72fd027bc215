import { expect, it } from 'vitest';
import { createBindings } from '../../../../rater/aggregate/bindings.ts';

it('a long list of texts travels in several parameters, each of which is bounded, in its order', () => {
  const values = Array.from({ length: 5_000 }, (_, index) => `größe ${index} ${'x'.repeat(80)}`);
  const bindings = createBindings();
  const text = bindings.strings(values);
  const lists = Object.values(bindings.params()) as string[][];
  expect(lists.flat()).toEqual(values);
  expect(text).toBe(`arrayConcat(${lists.map((_, index) => `{v${index}:Array(String)}`).join(', ')})`);
  for (const list of lists) expect(encodeURIComponent(`['${list.join("','")}']`).length).toBeLessThan(128 * 1024);
});

it('a short one is one parameter, and so is none at all', () => {
  const bindings = createBindings();
  expect([bindings.strings(['a', 'b']), bindings.strings([])]).toEqual(['{v0:Array(String)}', '{v1:Array(String)}']);
});
