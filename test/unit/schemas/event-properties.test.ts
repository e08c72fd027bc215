import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  depthMax,
  faultsPerEventMax,
  flattenProperties,
  pathCharactersMax,
  propertiesBytesMax,
} from '#schemas/event-properties.ts';
import type { Fault } from '#schemas/failures.ts';
import { eventWith, readEvent } from '../../support/read-body.ts';
import { scaled } from '../../support/scale.ts';

/** As a request carries them: numbers are read from their text, not from a JavaScript value. */
const flatten = (json: string): { pairs: readonly (readonly [string, string])[]; faults: readonly Fault[] } => {
  const read = readEvent(eventWith(json));
  return 'status' in read ? { pairs: [], faults: read.faults } : { pairs: read.properties, faults: [] };
};

const codesOf = (json: string) => flatten(json).faults.map(({ field, code }) => `${field}: ${code}`);

const nestedObject = (depth: number, leaf: string): string => '{"a":'.repeat(depth) + leaf + '}'.repeat(depth);

describe('properties become pairs of path and text', () => {
  it.each([
    ['nothing', '{}', {}],
    ['a text', '{"model":"gpt"}', { model: 'gpt' }],
    ['an empty text', '{"model":""}', { model: '' }],
    ['numbers as their digits', '{"n":12,"d":0.1,"neg":-5.50}', { n: '12', d: '0.1', neg: '-5.5' }],
    ['booleans', '{"yes":true,"no":false}', { yes: 'true', no: 'false' }],
    ['null means absent', '{"a":null,"b":{"c":null}}', {}],
    ['nested objects as dotted paths', '{"a":{"b":{"c":1}},"d":{}}', { 'a.b.c': '1' }],
    ['a dotted name as it is', '{"a.b":1}', { 'a.b': '1' }],
    ['a value beside paths below it', '{"http":"x","http.method":"GET"}', { http: 'x', 'http.method': 'GET' }],
    ['an array as one JSON text', '{"a":[1,"x",true,null,[2],{"b":3}]}', { a: '[1,"x",true,null,[2],{"b":3}]' }],
    ['numbers in an array as their digits', '{"a":[1e3,1e-7,{"b":0.10}]}', { a: '[1000,0.0000001,{"b":0.1}]' }],
    ['an empty array', '{"a":[]}', { a: '[]' }],
    ['a text with NUL, which only names refuse', '{"a":"x\\u0000y"}', { a: 'x\0y' }],
    [
      'names that prototypes have',
      '{"constructor":"1","__proto__":"2","toString":"3"}',
      JSON.parse('{"constructor":"1","__proto__":"2","toString":"3"}'),
    ],
    ['names beyond ASCII', '{"größe":"1","😀":"2"}', { größe: '1', '😀': '2' }],
  ])('%s', (_what, json, expected) => {
    const { pairs, faults } = flatten(json);
    expect(faults).toEqual([]);
    // In order of their paths, which is what makes a fingerprint of them.
    expect(pairs).toEqual(Object.entries(expected).sort(([a], [b]) => (a < b ? -1 : 1)));
  });

  it('an absent and a null object are no properties', () => {
    const faults: Fault[] = [];
    expect([flattenProperties(undefined, faults), flattenProperties(null, faults), faults]).toEqual([[], [], []]);
  });

  it.each(['[]', '"text"', '5', 'true', '12345678901234567890'])('%s instead of an object is refused', (json) => {
    expect(codesOf(json)).toEqual(['properties: wrong_type']);
  });
});

describe('every fault is listed with its path', () => {
  it.each([
    ['{"a":1e400}', 'properties.a: number_range'],
    ['{"a":1e-400}', 'properties.a: number_range'],
    ['{"a":[1,1e400]}', 'properties.a[1]: number_range'],
    [`{"a":${'9'.repeat(41)}}`, 'properties.a: number_range'],
    ['{"a":{"b":[0,{"c":1e-53}]}}', 'properties.a.b[1].c: number_range'],
    ['{"a":[[1e40]]}', 'properties.a[0][0]: number_range'],
    ['{"a":"\\ud800"}', 'properties.a: wrong_format'],
    ['{"a":["\\udc00x"]}', 'properties.a[0]: wrong_format'],
    ['{"":1}', 'properties.: property_name'],
    ['{"a":{"":1}}', 'properties.a.: property_name'],
    ['{".a":1}', 'properties..a: property_name'],
    ['{"a.":1}', 'properties.a.: property_name'],
    ['{"a..b":1}', 'properties.a..b: property_name'],
    ['{"a\\u0000b":1}', 'properties.a\0b: property_name'],
    ['{"a\\nb":1}', 'properties.a\nb: property_name'],
    ['{"a\\u007f":1}', 'properties.a\u007f: property_name'],
    ['{"\\ud800":1}', 'properties.\ud800: property_name'],
    ['{"a.b":1,"a":{"b":2}}', 'properties.a.b: duplicate'],
    ['{"a":{"b":2},"a.b":"1"}', 'properties.a.b: duplicate'],
    ['{"a.b.c":1,"a":{"b.c":2}}', 'properties.a.b.c: duplicate'],
  ])('%s has %s', (json, fault) => {
    expect(codesOf(json)).toEqual([fault]);
  });

  it('several faults of one object stand side by side', () => {
    expect(codesOf('{"a":1e400,"b":{"c":"\\ud800","":1},"d":[1e40,1e400],"e":"fine"}')).toEqual([
      'properties.a: number_range',
      'properties.b.c: wrong_format',
      'properties.b.: property_name',
      'properties.d[0]: number_range',
      'properties.d[1]: number_range',
    ]);
  });

  it('a number with too many digits is told how many it may have', () => {
    expect(flatten('{"a":1e-53}').faults[0]?.message).toMatch(
      /no meter can measure.* 40 digits before the point and 52 behind it/,
    );
  });
});

describe('[I27] sizes and depths are bounded, and each bound is met exactly', () => {
  it.each([
    ['objects', depthMax, nestedObject(depthMax, '1'), []],
    ['objects', depthMax + 1, nestedObject(depthMax + 1, '1'), ['too_deep']],
    ['arrays below the object', depthMax, `{"a":${'['.repeat(depthMax - 1)}1${']'.repeat(depthMax - 1)}}`, []],
    ['arrays below the object', depthMax + 1, `{"a":${'['.repeat(depthMax)}1${']'.repeat(depthMax)}}`, ['too_deep']],
    [
      'objects in arrays',
      depthMax,
      `{"a":[${'{"b":['.repeat(depthMax / 2 - 1)}1${']}'.repeat(depthMax / 2 - 1)}]}`,
      [],
    ],
    [
      'objects in arrays',
      depthMax + 1,
      `{"a":${'[{"b":'.repeat(depthMax / 2)}1${'}]'.repeat(depthMax / 2)}}`,
      ['too_deep'],
    ],
    ['an array in objects', depthMax + 1, nestedObject(depthMax, '[]'), ['too_deep']],
    ['objects', 100, nestedObject(100, '1'), ['too_deep']],
    ['arrays below the object', 100, `{"a":${'['.repeat(100)}1${']'.repeat(100)}}`, ['too_deep']],
    ['objects around an inexact number', 100, nestedObject(100, '12345678901234567890'), ['too_deep']],
  ])('%s nested %i deep', (_what, _depth, json, codes) => {
    expect(flatten(json).faults.map(({ code }) => code)).toEqual(codes);
  });

  it.each([
    [pathCharactersMax, []],
    [pathCharactersMax + 1, ['property_name']],
  ])('a path of %i characters', (length, codes) => {
    expect(flatten(JSON.stringify({ ['p'.repeat(length)]: 1 })).faults.map(({ code }) => code)).toEqual(codes);
    expect(flatten(JSON.stringify({ a: { ['p'.repeat(length - 2)]: 1 } })).faults.map(({ code }) => code)).toEqual(
      codes,
    );
  });

  it.each([
    [256, []],
    [257, ['properties: too_many_properties']],
  ])('%i properties', (count, codes) => {
    expect(
      codesOf(JSON.stringify(Object.fromEntries(Array.from({ length: count }, (_, index) => [`p${index}`, index])))),
    ).toEqual(codes);
  });

  it.each([
    [propertiesBytesMax, []],
    [propertiesBytesMax + 1, ['properties: too_large']],
  ])('%i bytes of paths and texts', (bytes, codes) => {
    // One byte for the path; in UTF-8 two for each é.
    const rest = bytes - 1;
    expect(codesOf(JSON.stringify({ a: 'é'.repeat(rest >> 1) + 'x'.repeat(rest & 1) }))).toEqual(codes);
    expect(codesOf(JSON.stringify({ ['p'.repeat(101)]: 'x'.repeat(50), b: 'x'.repeat(bytes - 152) }))).toEqual(codes);
  });

  it.each([
    ['numbers in an array', `{"a":[${Array(50_000).fill('1e400').join(',')}]}`],
    ['nested arrays', `{"a":[${Array(50_000).fill('[1e400,1e400]').join(',')}]}`],
    ['names', `{${Array.from({ length: 50_000 }, (_, index) => `"${index}.":1`).join(',')}}`],
    [
      'values below a name of a megabyte',
      `{"a":[{"${'x'.repeat(1_000_000)}":[${Array(50_000).fill('1e400').join(',')}]}]}`,
    ],
  ])('a body full of faulty %s does not become a list of faults of its size', (_what, json) => {
    const { faults } = flatten(json);
    expect(faults.length).toBeGreaterThanOrEqual(faultsPerEventMax);
    expect(faults.length).toBeLessThanOrEqual(faultsPerEventMax + 2);
    expect(JSON.stringify(faults).length).toBeLessThan(100_000);
  });
});

describe('for any properties', () => {
  const names = fc.oneof(
    fc.stringMatching(/^[a-z]{1,3}$/),
    fc.constantFrom('__proto__', 'constructor', 'a.b', '1', '0'),
  );
  const scalars = fc.oneof(fc.string({ unit: 'binary' }), fc.integer(), fc.boolean(), fc.constant(null));
  const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
    tree: fc.oneof(
      { depthSize: 'small' },
      scalars,
      fc.array(tie('tree'), { maxLength: 3 }),
      fc.array(fc.tuple(names, tie('tree')), { maxLength: 5 }).map((entries) => objectOf(entries)),
    ),
  }));
  const objectOf = (entries: readonly (readonly [string, unknown])[]): unknown => {
    const object = {};
    for (const [name, value] of entries)
      Object.defineProperty(object, name, { value, enumerable: true, configurable: true, writable: true });
    return object;
  };
  const reversed = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(reversed);
    if (typeof value !== 'object' || value === null) return value;
    return objectOf(
      Object.entries(value)
        .reverse()
        .map(([name, inner]) => [name, reversed(inner)] as const),
    );
  };
  const roots = fc.array(fc.tuple(names, tree), { maxLength: 6 }).map(objectOf);

  it('the order in which they were sent does not change the pairs, so a retry is not taken for a conflict', () => {
    fc.assert(
      fc.property(roots, (root) => {
        const there: Fault[] = [];
        const back: Fault[] = [];
        const pairs = flattenProperties(root, there);
        const mirrored = flattenProperties(reversed(root), back);
        expect(back.map(({ code }) => code).sort()).toEqual(there.map(({ code }) => code).sort());
        if (there.length === 0) expect(mirrored).toEqual(pairs);
      }),
      { numRuns: scaled(3_000) },
    );
  });

  it('each path is given once, and every value is a text', () => {
    fc.assert(
      fc.property(roots, (root) => {
        const pairs = flattenProperties(root, []);
        expect(new Set(pairs.map(([path]) => path)).size).toBe(pairs.length);
        expect(pairs.every(([, value]) => typeof value === 'string')).toBe(true);
      }),
      { numRuns: scaled(3_000) },
    );
  });

  it('no prototype is changed by what was sent', () => {
    flatten(
      '{"__proto__":{"poisoned":"1"},"constructor":{"prototype":{"poisoned":"1"}},"a":[{"__proto__":{"poisoned":true}}]}',
    );
    expect(({} as { poisoned?: unknown }).poisoned).toBeUndefined();
    expect((Object as { poisoned?: unknown }).poisoned).toBeUndefined();
  });
});
