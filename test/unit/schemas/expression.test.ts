import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { expressionCharactersMax, expressionDepthMax, parseExpression, propertiesOf } from '#schemas/expression.ts';
import { digitsFault, digitsOf } from '#schemas/expression-digits.ts';
import { aTree } from '../../support/metering-arbitraries.ts';
import { textOfTree } from '../../support/usage-reference.ts';

const treeOf = (text: string): unknown => {
  const parsed = parseExpression(text);
  return parsed.ok ? parsed.value : parsed.fault;
};
const path = (name: string) => ({ kind: 'property', path: name });
const faultOf = (text: string): string => {
  const parsed = parseExpression(text);
  return parsed.ok ? 'none' : `${parsed.fault.column}: ${parsed.fault.message}`;
};

describe('expressions', () => {
  it('multiplication binds more than addition, and operators of one kind from left to right', () => {
    expect(treeOf('a - b * c - d')).toEqual(treeOf('(a - (b * c)) - d'));
    expect(treeOf('a / b / c')).toEqual(treeOf('(a / b) / c'));
    expect(treeOf('-a * b')).toEqual(treeOf('(-a) * b'));
    expect(treeOf('a*-b')).toMatchObject({ operator: '*', right: { kind: 'negative', of: path('b') } });
  });

  it('a path is of names and quoted names, joined by dots', () => {
    expect(treeOf('usage.input_tokens')).toEqual(path('usage.input_tokens'));
    expect(treeOf('"odd name"."2nd".x')).toEqual(path('odd name.2nd.x'));
    expect(treeOf('"x; DROP TABLE {a:String} ..*>"')).toMatchObject({
      message: expect.stringContaining('a property must be'),
    });
    expect(treeOf('"{a:String} 漢 $1 --"')).toEqual(path('{a:String} 漢 $1 --'));
  });

  it.each([
    ['', '1: the end stands where a value is expected'],
    ['a +', '4: the end stands where a value is expected'],
    ['a b', '3: "b" stands where an operator or the end is expected'],
    ['(a', '3: the end stands where an operator or ) is expected'],
    ['a)', '2: ")" stands where an operator or the end is expected'],
    ['a ; b', '3: ";" has no meaning here'],
    ['漢 + a', '1: "漢" has no meaning here'],
    ['😀', '1: "😀" has no meaning here'],
    ['"漢😀" @', '6: "@" has no meaning here'],
    ['2x + a', '2: an operator must stand between two values'],
    ['1.2.3 * a', '4: an operator must stand between two values'],
    ['1e3 * a', '2: an operator must stand between two values'],
    ['.5 * a', '1: "." has no meaning here'],
    ['a.', '3: a name must follow the dot'],
    ['a..b', '3: a name must follow the dot'],
    ['"a', '1: "\\"" has no meaning here'],
    ['1 + 2', '1: names no property'],
    ['a / 0.00', '3: divides by zero'],
    ["a'", '2: "\'" has no meaning here'],
    ['sum(a)', '4: "(" stands where an operator or the end is expected'],
    ['a % b', '3: "%" has no meaning here'],
    [
      '$.n * 2',
      '1: "$" has no meaning here: a path begins inside the properties of an event, so write n for the property n',
    ],
    ['2 * a[0]', '6: "[" has no meaning here: an array is kept as one JSON text, whose items have no path'],
    ['a\0', '2: "\\u0000" has no meaning here'],
  ])('%j is refused with the column', (text, fault) => {
    expect(faultOf(text)).toBe(fault);
  });

  it('nesting, length and properties are bounded', () => {
    const parens = (levels: number) => `${'('.repeat(levels)}a${')'.repeat(levels)}`;
    expect(faultOf(parens(expressionDepthMax - 1))).toBe('none');
    expect(faultOf(parens(expressionDepthMax))).toContain('nests more than');
    expect(faultOf(`${'-'.repeat(expressionCharactersMax - 1)}a`)).toContain('nests more than');
    expect(faultOf(Array.from({ length: expressionDepthMax + 1 }, () => 'a').join('+'))).toContain('nests more than');
    expect(faultOf(`a${' '.repeat(expressionCharactersMax)}`)).toBe(
      `${expressionCharactersMax + 1}: has more than ${expressionCharactersMax} characters`,
    );
    expect(faultOf(Array.from({ length: 21 }, (_, index) => `p${index}`).join('+'))).toContain(
      'more than 20 properties',
    );
  });

  it('the properties are told once each, in the order of their use', () => {
    const parsed = parseExpression('b * (a + b) / -c');
    expect(parsed.ok && propertiesOf(parsed.value)).toEqual(['b', 'a', 'c']);
  });

  it('any tree that is written is read back as that tree, or refused for its bounds', () => {
    fc.assert(
      fc.property(aTree, (tree) => {
        const parsed = parseExpression(textOfTree(tree));
        if (!parsed.ok) expect(parsed.fault.message).toMatch(/names no property|divides by zero/);
        else
          expect(propertiesOf(parsed.value).every((name) => JSON.stringify(tree).includes(JSON.stringify(name)))).toBe(
            true,
          );
      }),
    );
  });

  it('[I27] any text is read or refused at once', () => {
    const anything = fc.oneof(
      fc.string(),
      fc.string({ unit: fc.constantFrom('(', ')', '-', '+', '*', '/', 'a', '1', '.', '"', ' ') }),
    );
    fc.assert(fc.property(anything, (text) => parseExpression(text).ok || faultOf(text) !== ''));
  });
});

describe('digits of an expression', () => {
  const of = (text: string) => {
    const parsed = parseExpression(text);
    if (!parsed.ok) throw new Error(parsed.fault.message);
    return { ...digitsOf(parsed.value), fault: digitsFault(parsed.value) };
  };

  it.each([
    ['a', 18, 12],
    ['a + b', 19, 12],
    ['a * 0.25', 18, 14],
    ['a * 00.250', 18, 14],
    ['a * b', 36, 24],
    ['a / 1000', 19, 12],
    ['a / b', 31, 12],
    ['-a', 18, 12],
  ])('%s has at most %i digits before and %i after the point', (text, integer, scale) => {
    expect(of(text)).toMatchObject({ integer, scale, fault: undefined });
  });

  it('what could overflow 76 digits is refused, and a price per unit of a rate is not', () => {
    expect(of('a * b / c').fault).toBeUndefined();
    expect(of('(input + 4 * output) * price / 1000000').fault).toBeUndefined();
    expect(of('a * b * c').fault).toContain('may need 91 digits');
    expect(of('1 / a / b').fault).toBeUndefined();
    expect(of('a / b / c / d').fault).toBeDefined();
  });
});
