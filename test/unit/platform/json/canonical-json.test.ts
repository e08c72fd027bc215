import canonicalize from 'canonicalize';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalJson } from '#platform/json/canonical-json.ts';

describe('the canonical form', () => {
  it('of any JSON is what the package writes', () => {
    const texts = fc.string({
      unit: fc.oneof(fc.constantFrom('"', '\\', '\n', '\u2028', 'é', '10', '9', '😀'), fc.string()),
    });
    const { json } = fc.letrec((tie) => ({
      json: fc.oneof(
        { maxDepth: 4 },
        fc.oneof(fc.constant(null), fc.boolean(), fc.double({ noNaN: true, noDefaultInfinity: true }), texts),
        fc.array(tie('json'), { maxLength: 5 }),
        fc.dictionary(texts, fc.oneof(tie('json'), fc.constant(undefined)), { maxKeys: 5 }),
      ),
    }));
    fc.assert(
      fc.property(json, (value) => {
        expect(canonicalJson(value)).toBe(canonicalize(value));
      }),
    );
  });

  it.each([
    {
      given: 'names by UTF-16 code units',
      value: { 9: 1, 10: 2, '\ufb33': 3, '😀': 4 },
      text: '{"10":2,"9":1,"😀":4,"\ufb33":3}',
    },
    { given: 'no member without a value', value: { b: undefined, a: [] }, text: '{"a":[]}' },
    { given: 'nothing', value: {}, text: '{}' },
    { given: 'a negative zero', value: -0, text: '0' },
    { given: 'a large number', value: 1e21, text: '1e+21' },
  ])('has $given', ({ value, text }) => {
    expect(canonicalJson(value)).toBe(text);
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, '\ud800', { '\udfff': 1 }, [undefined], 1n, () => 0])(
    'of %o there is none',
    (value) => {
      expect(() => canonicalJson(value)).toThrow();
    },
  );
});
