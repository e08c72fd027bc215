/**
 * Meters in requests and answers. What a meter measures is judged by `meterDefinitionFromJson`, which names every fault
 * at its place; the schemas here are for the documents. What no JSON schema can say, and only the reader refuses: the
 * text of an expression, the depth of a filter and how much it holds in all, a number whose digits JSON does not carry.
 */
import { type Static, type TSchema, Type } from 'typebox';
import { comparisons, conditionsMax, filterValueCharactersMax, listValuesMax } from '#schemas/filter.ts';
import { exampleCreatedAt, exampleHead, exampleId } from '#schemas/http/example-parts.ts';
import {
  Code,
  closed,
  Instant,
  idOf,
  idParam,
  Metadata,
  Name,
  NewCode,
  NullInsteadOfText,
  nullable,
  RoundingModeName,
  resourceFields,
} from '#schemas/http/fields.ts';
import {
  aggregations,
  eventNameCharactersMax,
  groupByMax,
  percentileMethods,
  propertyPattern,
  roundingDecimalsMax,
} from '#schemas/meter.ts';
import { propertyCharactersMax } from '#schemas/property-path.ts';

const EventName = Type.String({
  pattern: `^[^\\u0000]{1,${eventNameCharactersMax}}$`,
  description: 'The name of the events that are measured.',
});
const Property = Type.String({
  pattern: propertyPattern,
  maxLength: propertyCharactersMax,
  description:
    'A dotted path that begins inside the properties of an event: `n`, and neither `properties.n` nor `$.n`. An item of an array has none.',
});
const Expression = Type.String({
  minLength: 1,
  maxLength: 1_000,
  description: 'Arithmetic over properties with + - * / and parentheses, such as `input_tokens + 4 * output_tokens`.',
});

const ConditionText = Type.String({ pattern: `^[^\\u0000]{0,${filterValueCharactersMax}}$` });
const ConditionNumber = Type.Number({ format: 'double' });
const ConditionValue = Type.Union([ConditionText, Type.Boolean(), ConditionNumber], { title: 'ConditionValue' });
const condition = (title: string, operators: readonly string[], value: TSchema) =>
  Type.Object({ property: Property, operator: Type.Enum([...operators]), value }, { ...closed, title });
const Decimal = Type.String({ pattern: '^-?[0-9]{1,40}(\\.[0-9]{1,12})?$' });
/** Of itself: what an `and` or an `or` holds is a filter again. */
const OneFilter = Type.Unsafe<unknown>({ $ref: '#/components/schemas/Filter' });
const Filters = Type.Array(OneFilter, { minItems: 1, maxItems: conditionsMax });

export const Filter = Type.Union(
  [
    Type.Object({ and: Filters }, { ...closed, title: 'FilterAnd' }),
    Type.Object({ or: Filters }, { ...closed, title: 'FilterOr' }),
    condition('TextCondition', ['eq', 'ne', 'prefix'], ConditionValue),
    condition('ListCondition', ['in', 'not_in'], Type.Array(ConditionValue, { minItems: 1, maxItems: listValuesMax })),
    condition('DecimalCondition', comparisons, Type.Union([Decimal, ConditionNumber], { title: 'DecimalBound' })),
    condition('ExistsCondition', ['exists'], Type.Boolean()),
  ],
  { title: 'Filter', description: 'Which events count, by their properties. At most 5 levels and 50 conditions.' },
);

const Rounding = Type.Object(
  { mode: RoundingModeName, decimals: Type.Integer({ minimum: 0, maximum: roundingDecimalsMax }) },
  { ...closed, title: 'MeterRounding', description: 'Of the final quantity.' },
);
const Percentile = Type.Object(
  {
    rank: Type.String({
      pattern: '^([0-9]{1,2}(\\.[0-9]{1,4})?|100(\\.0{1,4})?)$',
      not: { pattern: '^0{1,2}(\\.0{1,4})?$' },
      description: 'More than 0, at most 100.',
    }),
    method: Type.Enum([...percentileMethods], { title: 'PercentileMethod' }),
  },
  { ...closed, title: 'Percentile' },
);
const GroupBy = Type.Array(Type.Unsafe<string>({ ...Property, not: { const: 'customer_id' } }), {
  maxItems: groupByMax,
  uniqueItems: true,
  description: 'Properties by which usage may be asked for in groups, or filtered.',
});

const optional = <S extends TSchema>(schema: S) => Type.Optional(nullable(schema));
const measuredFields = {
  event: EventName,
  filter: optional(OneFilter),
  group_by: optional(GroupBy),
  rounding: optional(Rounding),
};
const absent = Type.Optional(NullInsteadOfText);
const noPercentile = Type.Optional(
  Type.Unsafe<null>({ ...nullable(Percentile), not: { type: 'object' }, description: 'Null here.' }),
);
const byProperty = { property: Property, expression: absent };
const byExpression = { property: absent, expression: Expression };
const Aggregation = Type.Enum([...aggregations], { title: 'Aggregation' });
const NumericAggregation = Type.Enum(
  aggregations.filter((one) => one !== 'count' && one !== 'unique' && one !== 'percentile'),
  { title: 'NumericAggregation' },
);

export const newMeterExample = {
  code: 'tokens',
  name: 'Tokens',
  event: 'llm.request',
  aggregation: 'sum',
  property: 'tokens',
  group_by: ['model'],
};
export const definitionExample = {
  event: newMeterExample.event,
  aggregation: newMeterExample.aggregation,
  property: newMeterExample.property,
  expression: null,
  filter: null,
  group_by: newMeterExample.group_by,
  rounding: null,
  percentile: null,
};
export const meterExample = {
  id: exampleId('mtr', 1),
  code: newMeterExample.code,
  name: newMeterExample.name,
  version_number: 1,
  ...definitionExample,
  ...exampleHead,
};
const totalsExample = { state: 'filling', days: 93_000, days_made: 31_000, watermark: '1780000000000000000' };
export const meterVersionExample = {
  id: exampleId('mtv', 2),
  meter_id: meterExample.id,
  version_number: 1,
  ...definitionExample,
  created_at: exampleCreatedAt,
};

export const MeterId = idParam(meterExample.code);

/** Read by `meterFromJson`, like the rest; this bounds what comes in. */
export const NewMeter = Type.Object({ metadata: Type.Optional(Metadata) });

const newMeter = (title: string, fields: Readonly<Record<string, TSchema>>) =>
  Type.Object(
    { code: NewCode, name: Name, metadata: Type.Optional(Metadata), ...measuredFields, ...fields },
    { ...closed, title },
  );
export const NewMeterDocument = Type.Union(
  [
    newMeter('NewCountMeter', {
      aggregation: Type.Literal('count'),
      property: absent,
      expression: absent,
      percentile: noPercentile,
    }),
    newMeter('NewUniqueMeter', { aggregation: Type.Literal('unique'), ...byProperty, percentile: noPercentile }),
    newMeter('NewPropertyMeter', { aggregation: NumericAggregation, ...byProperty, percentile: noPercentile }),
    newMeter('NewExpressionMeter', { aggregation: NumericAggregation, ...byExpression, percentile: noPercentile }),
    newMeter('NewPropertyPercentileMeter', {
      aggregation: Type.Literal('percentile'),
      ...byProperty,
      percentile: Percentile,
    }),
    newMeter('NewExpressionPercentileMeter', {
      aggregation: Type.Literal('percentile'),
      ...byExpression,
      percentile: Percentile,
    }),
  ],
  { title: 'NewMeter', examples: [newMeterExample] },
);

export const MeterPatch = Type.Object(
  { name: Type.Optional(Name), metadata: Type.Optional(Metadata) },
  { minProperties: 1 },
);
export type MeterPatch = Static<typeof MeterPatch>;
export const MeterPatchDocument = Type.Object(
  {
    name: Type.Optional(Name),
    metadata: Type.Optional(Metadata),
    event: Type.Optional(EventName),
    aggregation: Type.Optional(Aggregation),
    property: optional(Property),
    expression: optional(Expression),
    filter: optional(OneFilter),
    group_by: optional(GroupBy),
    rounding: optional(Rounding),
    percentile: optional(Percentile),
  },
  {
    ...closed,
    title: 'MeterPatch',
    minProperties: 1,
    description:
      'A field that is left out stays, and null clears it. Whatever changes what is measured makes a new version of the meter.',
    examples: [{ name: 'Tokens of all models' }],
  },
);

/** In answers every field is there. */
const definitionFields = {
  event: EventName,
  aggregation: Aggregation,
  property: nullable(Property),
  expression: nullable(Expression),
  filter: nullable(Filter),
  group_by: GroupBy,
  rounding: nullable(Rounding),
  percentile: nullable(Percentile),
};
/** Of a version, without its names. */
export const MeterDefinition = Type.Object(definitionFields, { ...closed, title: 'MeterDefinition' });
export const MeterVersionNumber = Type.Integer({
  minimum: 1,
  description: 'Which version of what the meter measures.',
});

export const Meter = Type.Object(
  {
    id: idOf('mtr'),
    code: Code,
    name: Name,
    version_number: MeterVersionNumber,
    ...definitionFields,
    ...resourceFields,
  },
  { ...closed, title: 'Meter', examples: [meterExample] },
);

export const totalsStates = ['none', 'waiting', 'filling', 'kept', 'unknown'] as const;

const MeterTotals = Type.Object(
  {
    state: Type.Enum([...totalsStates], {
      title: 'MeterTotalsState',
      description:
        '`none`: not of this aggregation. `waiting`: nothing was made yet. `filling`: made in the background, the latest month first. `kept`: each day that is over was made once, and whatever changes is made anew. `unknown`: the store does not answer. In each of them usage is right.',
    }),
    days: nullable(
      Type.Integer({
        minimum: 0,
        description:
          'Days (UTC) of customers that had usage when they were counted: when the filling began, and when it was done.',
      }),
    ),
    days_made: nullable(
      Type.Integer({
        minimum: 0,
        description: 'So many of them have totals. A day that goes on changing gets its own later.',
      }),
    ),
    watermark: nullable(
      Type.String({
        pattern: '^[0-9]{1,20}$',
        description: 'Everything up to it is in the totals that were made last.',
      }),
    ),
  },
  { ...closed, title: 'MeterTotals', description: 'How far the totals of the newest version have come.' },
);

export const MeterWithTotals = Type.Object(
  { ...Meter.properties, totals: MeterTotals },
  { ...closed, title: 'MeterWithTotals', examples: [{ ...meterExample, totals: totalsExample }] },
);

export const MeterVersion = Type.Object(
  {
    id: idOf('mtv'),
    meter_id: idOf('mtr'),
    version_number: MeterVersionNumber,
    ...definitionFields,
    created_at: Instant,
  },
  { ...closed, title: 'MeterVersion', description: 'What a meter measures. It never changes.' },
);
