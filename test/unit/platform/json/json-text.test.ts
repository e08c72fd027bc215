import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseJsonText } from '../../../../platform/json/json-text.ts';
import { scaled } from '../../../support/scale.ts';

describe('the text of a caller', () => {
  it.each([
    ['a quote', '{"h":[],"\\\\":0}', '{"h":1,"\\"":2}', ['h', '"']],
    ['letters beyond ASCII', '{"t":1,"gr\\\\u0":0}', '{"t":1,"gr\\u00f6\\u00dfe":2}', ['t', 'größe']],
    ['the first name', '{"\\\\u0000in":0}', '{"\\u0000inexact":"5"}', ['\u0000inexact']],
  ])('has the names that it says, whatever was read before: %s', (_what, before, text, names) => {
    for (let again = 0; again < 3; again += 1) {
      JSON.parse(before);
      parseJsonText(before);
      expect(Object.keys(parseJsonText(text) as object)).toEqual(names);
    }
  });

  it.each([
    '',
    ' ',
    '{',
    '{"\\n":1,}',
    '{"\\x":1}',
    '{"\\n" 1}',
    '["\\n":1]',
    '{"\\n":01}',
    '{"\\n":1}x',
    '"\\u12"',
    '{"\\n',
  ])('that is no JSON is refused in the words of JSON.parse: %s', (text) => {
    let words = 'none';
    try {
      JSON.parse(text);
    } catch (error) {
      words = (error as Error).message;
    }
    expect(() => parseJsonText(text)).toThrow(new SyntaxError(words));
  });

  it('gives what was written into it, with escapes in names and in values', () => {
    const name = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom('__proto__', '\\', '"', '\n', '1', ':', '\\u0061', ''),
    );
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof(
        { depthSize: 'small' },
        fc.constantFrom(null, true, false, 0, -1.5e30, 1e-7, 12345678901234),
        name,
        fc.array(tie('value')),
        fc.array(fc.tuple(name, tie('value'))).map((entries) => Object.fromEntries(entries)),
      ),
    }));
    fc.assert(
      fc.property(value, fc.constantFrom('', ' ', '\n\t'), (given, space) => {
        expect(parseJsonText(JSON.stringify(given, null, space))).toStrictEqual(given);
      }),
      { numRuns: scaled(500) },
    );
  });

  it('of twins the last counts, and __proto__ is a name like any other', () => {
    const value = parseJsonText('{"\\u0061":1,"a":2,"__proto__":{"x":1},"\\n":3}') as object;
    expect(Object.entries(value)).toEqual([
      ['a', 2],
      ['__proto__', { x: 1 }],
      ['\n', 3],
    ]);
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
  });

  it('may be nested as deep as it is long', () => {
    const levels = 100_000;
    let value = parseJsonText(`${'{"\\n":'.repeat(levels)}1${'}'.repeat(levels)}`);
    for (let level = 0; level < levels; level += 1) value = (value as Record<string, unknown>)['\n'];
    expect(value).toBe(1);
  });
});
