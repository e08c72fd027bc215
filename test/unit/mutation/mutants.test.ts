import { describe, expect, it } from 'vitest';
import { describe as collectGroup, it as collectTest, runCollected } from '../../mutation/collected-tests.ts';
import { equivalents } from '../../mutation/equivalents.ts';
import { mutantsOf, withMutant } from '../../mutation/mutants.ts';

const mutated = (source: string): string[] => mutantsOf('a.ts', source).map((mutant) => withMutant(source, mutant));

describe('mutants', () => {
  it.each<[string, string[]]>([
    ['a < b', ['a <= b', 'a >= b']],
    ['a >= b', ['a > b', 'a < b']],
    ['a === b', ['a !== b']],
    ['a + b', ['a - b']],
    ['a && b', ['a || b']],
    ['!a', ['a']],
    ['a ? b : c', ['true ? b : c', 'false ? b : c']],
    ['5n', ['(5n + 1n)']],
    ['0', ['1']],
    ['true', ['false']],
    ["'word'", ["''"]],
    ['/^a$/u', ['/a$/u', '/^a/u']],
    ['[a]', ['[]']],
    ['f(a, b)', ['f(b, a)']],
    ['f(a, a)', []],
    ['addQuantities(a, b)', []],
    ['a.some(b)', ['a.every(b)']],
    ['a?.b', ['a.b']],
    ['a as unknown', []],
    ['{ message: `no a`, code }', []],
  ])('of %s', (expression, others) => {
    const source = (text: string) => `const x = () => (${text});`;
    expect(mutated(source(expression))).toEqual(others.map(source));
  });

  it.each<[string, string[]]>([
    ['for (;;) { break; }', ['for (;;) { ; }']],
    ['const f = () => { return; };', ['const f = () => { ; };']],
    ['const f = () => { return undefined; };', []],
    ['a();', [';']],
    ['if (a) b = c;', ['if (true) b = c;', 'if (false) b = c;', 'if (a) ;']],
    ["assert(a, 'a is there');", [';']],
    ['throw new Error(`no a`);', [';']],
    ["import { a } from './a.ts';", []],
    ["type A = { readonly b: 'c' };", []],
    [
      '// é and 😀 come before\nconst a = b < c;',
      ['// é and 😀 come before\nconst a = b <= c;', '// é and 😀 come before\nconst a = b >= c;'],
    ],
  ])('of the statement %s', (source, others) => {
    expect(mutated(source)).toEqual(others);
  });

  it('know their line', () => {
    expect(mutantsOf('a.ts', 'const a = 1;\nconst b = 2;').map(({ line, before }) => [line, before])).toEqual([
      [1, '1'],
      [2, '2'],
    ]);
  });
});

describe('tests that are collected', () => {
  it('end at the first that fails, and are forgotten then', async () => {
    const ran: unknown[] = [];
    collectGroup('a group', () => {
      collectTest('passes', () => ran.push(1));
      collectTest.each([[2, 3], 4])('rows, %s', (...row: unknown[]) => ran.push(row));
      collectTest('waits and fails', async () => {
        await Promise.resolve();
        throw new Error('as it should');
      });
      collectTest('is not reached', () => ran.push(5));
    });
    collectGroup.each([['a'], ['b']])('groups', (name) => collectTest('passes', () => ran.push(name)));
    expect(await runCollected()).toEqual({ passed: 3, failed: 'waits and fails' });
    expect(ran).toEqual([1, [2, 3], [4]]);
    expect(await runCollected()).toEqual({ passed: 0 });
  });
});

it('a mutant that is called equivalent has a reason, and stands in the list once', () => {
  const all = equivalents.flatMap(({ path, within, changes }) =>
    changes.map((change) => `${path} ${within} ${change}`),
  );
  expect(new Set(all).size).toBe(all.length);
  expect(equivalents.every(({ reason }) => reason.length > 10)).toBe(true);
});
