/** The documented schema of a meter against its reader: two descriptions of one thing, written apart. */
import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Filter, Meter, NewMeterDocument } from '#schemas/http/meters.ts';
import {
  aggregations,
  type MeterDefinitionJson,
  meterDefinitionFromJson,
  meterDefinitionToJson,
} from '#schemas/meter.ts';
import { scaled } from '../../../support/scale.ts';

const ajv = new Ajv2020({ strict: false, validateFormats: false });
ajv.addSchema({ $id: 'document', components: { schemas: { Filter: withoutTitles(Filter) } } });
function withoutTitles(schema: unknown): unknown {
  return JSON.parse(JSON.stringify(schema).replaceAll('#/components', 'document#/components'));
}
const isDocumented = ajv.compile(withoutTitles(NewMeterDocument) as object);
const isAnswer = ajv.compile(withoutTitles(Meter) as object);

const property = fc.constantFrom('tokens', 'a.b', 'größe', 'request path');
const text = fc.constantFrom('a', '', 'eu-1', '1.5', '-7');
const condition = fc.oneof(
  fc.record({
    property,
    operator: fc.constantFrom('eq', 'ne', 'prefix'),
    value: fc.oneof(text, fc.boolean(), fc.integer()),
  }),
  fc.record({
    property,
    operator: fc.constantFrom('in', 'not_in'),
    value: fc.array(text, { minLength: 1, maxLength: 3 }),
  }),
  fc.record({
    property,
    operator: fc.constantFrom('gt', 'gte', 'lt', 'lte'),
    value: fc.oneof(fc.constantFrom('1', '-0.5'), fc.integer()),
  }),
  fc.record({ property, operator: fc.constant('exists'), value: fc.boolean() }),
);
const { filter } = fc.letrec((tie) => ({
  filter: fc.oneof(
    { maxDepth: 3, depthSize: 'small' },
    condition,
    fc.record({ and: tie('some') }),
    fc.record({ or: tie('some') }),
  ),
  some: fc.array(tie('filter'), { minLength: 1, maxLength: 3 }),
}));

const meters = fc
  .record({
    aggregation: fc.constantFrom(...aggregations),
    property,
    expression: fc.constantFrom(null, 'a + b', '-(a * 2) / "c d"'),
    filter: fc.option(filter),
    group_by: fc.option(fc.uniqueArray(property, { maxLength: 3 })),
    rounding: fc.option(
      fc.record({
        mode: fc.constantFrom('half_up', 'half_even', 'up', 'down'),
        decimals: fc.integer({ min: 0, max: 12 }),
      }),
    ),
    percentile: fc.record({
      rank: fc.constantFrom('95', '0.0001', '100', '99.9'),
      method: fc.constantFrom('nearest_rank', 'linear'),
    }),
  })
  .map(({ aggregation, property: path, expression, percentile, ...rest }): Record<string, unknown> => {
    const measured =
      aggregation === 'count'
        ? {}
        : expression !== null && aggregation !== 'unique'
          ? { expression }
          : { property: path };
    return {
      event: 'work',
      aggregation,
      ...measured,
      ...(aggregation === 'percentile' ? { percentile } : {}),
      ...rest,
    };
  });

const strange = fc.constantFrom<unknown>(
  ...[
    '',
    'a',
    'a..b',
    '"a"',
    "it's",
    '`a`',
    'a\\b',
    'a\u0000',
    'x'.repeat(256),
    '0',
    '100.5',
    '0.00',
    '1e3',
    'count',
    'unique',
    'percentile',
    'eq',
    'gt',
    'exists',
  ],
  ...[
    null,
    0,
    1,
    13,
    1.5,
    -1,
    true,
    [],
    ['a'],
    ['a', 'a'],
    ['customer_id'],
    {},
    undefined,
    { and: [] },
    { rank: '50', method: 'linear' },
  ],
  ...[
    { property: 'a', operator: 'exists', value: false },
    { mode: 'up', decimals: 2 },
  ],
);
const names = [
  'event',
  'aggregation',
  'property',
  'expression',
  'filter',
  'group_by',
  'rounding',
  'percentile',
  'rank',
  'mode',
  'decimals',
];
const more = ['and', 'or', 'operator', 'value', 'extra'];
const changes = fc.tuple(fc.nat(), fc.nat(), fc.constantFrom(...names, ...more), strange);

type Node = Record<string, unknown> | unknown[];
const isNode = (value: unknown): value is Node => typeof value === 'object' && value !== null;
const nodesOf = (value: unknown): Node[] => (isNode(value) ? [value, ...Object.values(value).flatMap(nodesOf)] : []);

/** One field somewhere in it is changed, added or taken away. */
const changed = (
  meter: Record<string, unknown>,
  [where, what, name, value]: readonly [number, number, string, unknown],
) => {
  const copy = structuredClone(meter);
  const nodes = nodesOf(copy);
  const node = nodes[what % 2 === 0 ? 0 : where % nodes.length] as Node;
  if (Array.isArray(node)) {
    if (what % 3 === 0) node.push(value === undefined ? (node[0] ?? 'a') : value);
    else node.splice(what % (node.length + 1), 1);
    return copy;
  }
  const keys = Object.keys(node);
  const key = what % 3 === 0 ? name : (keys[where % Math.max(1, keys.length)] ?? name);
  if (value === undefined) delete node[key];
  else node[key] = value;
  return copy;
};

/** Only the reader can say these; everything else the schema says, too. */
const isBeyondSchemas = ({ field, code }: { readonly field: string; readonly code: string }): boolean =>
  field === 'expression' || code === 'duplicate';

const named = (json: object) => ({ code: 'meter', name: 'Meter', ...json });

describe('the documented schema of a meter', () => {
  it('takes every meter that the reader takes, and its canonical form in answers', () => {
    fc.assert(
      fc.property(meters, (json) => {
        const read = meterDefinitionFromJson(json);
        expect(read.ok, JSON.stringify([json, read.ok ? [] : read.faults])).toBe(true);
        expect(isDocumented(named(json)), JSON.stringify([json, isDocumented.errors])).toBe(true);
        if (!read.ok) return;
        const absent = {
          property: null,
          expression: null,
          filter: null,
          group_by: [],
          rounding: null,
          percentile: null,
        };
        const shown: MeterDefinitionJson = meterDefinitionToJson(read.value);
        const times = { created_at: '2026-01-01T00:00:00.000Z', updated_at: '2026-01-01T00:00:00.000Z' };
        const resource = { id: `mtr_${'0'.repeat(32)}`, version_number: 1, metadata: {}, version: 1, ...times };
        expect(isAnswer(named({ ...absent, ...shown, ...resource })), JSON.stringify(isAnswer.errors)).toBe(true);
      }),
      { numRuns: scaled(1_000) },
    );
  });

  it('says the same as the reader of any change to a meter, as far as a JSON schema can', () => {
    const seen = { both: 0, neither: 0, beyond: 0 };
    fc.assert(
      fc.property(meters, fc.array(changes, { minLength: 1, maxLength: 2 }), (meter, list) => {
        const json = list.reduce<Record<string, unknown>>(changed, meter);
        const read = meterDefinitionFromJson(json);
        const documented = isDocumented(named(json));
        if (read.ok) {
          // Whole meters are put into words only for a failure.
          if (!documented) expect.fail(JSON.stringify([json, isDocumented.errors]));
          seen.both += 1;
        } else if (documented) {
          const within = read.faults.filter((fault) => !isBeyondSchemas(fault));
          if (within.length > 0) expect.fail(JSON.stringify([json, within]));
          seen.beyond += 1;
        } else seen.neither += 1;
      }),
      { numRuns: scaled(10_000) },
    );
    // Else it would agree by seeing one kind only.
    for (const count of Object.values(seen)) expect(count).toBeGreaterThan(50);
  });
});
