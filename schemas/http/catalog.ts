/** Meters and plans in requests and answers. */
import { type Static, Type } from 'typebox';
import { Code, CurrencyCode, closed, idOf, Metadata, Name, nullable, resourceFields } from '#schemas/http/fields.ts';
import { ChargesAnswer } from '#schemas/http/plan.ts';
import { aggregations, propertyPattern } from '#schemas/meter.ts';

const EventName = Type.String({ pattern: '^[^\\u0000-\\u001f\\u007f]{1,255}$' });
const Property = Type.String({ pattern: propertyPattern, maxLength: 255, description: 'A dotted path into the properties of an event.' });
const Aggregation = Type.Enum([...aggregations]);

export const NewMeter = Type.Object(
  {
    code: Code,
    name: Name,
    event: EventName,
    aggregation: Aggregation,
    property: Type.Optional(Property),
    metadata: Type.Optional(Metadata),
  },
  closed,
);

const { aggregation: _aggregation, property: _property, ...meterFields } = NewMeter.properties;
/** A count has no property, and whatever else is measured has one. */
export const NewMeterDocument = Type.Union(
  [
    Type.Object({ ...meterFields, aggregation: Type.Literal('count') }, { ...closed, title: 'NewCountMeter' }),
    Type.Object(
      { ...meterFields, aggregation: Type.Enum(aggregations.filter((one) => one !== 'count')), property: Property },
      { ...closed, title: 'NewPropertyMeter' },
    ),
  ],
  { title: 'NewMeter' },
);

/** What a meter measures never changes, only what it is called. */
export const NamePatch = Type.Object(
  { name: Type.Optional(Name), metadata: Type.Optional(Metadata) },
  { ...closed, minProperties: 1, description: 'A field that is left out stays.' },
);
export type NamePatch = Static<typeof NamePatch>;

export const Meter = Type.Object(
  { id: idOf('mtr'), code: Code, name: Name, event: EventName, aggregation: Aggregation, property: nullable(Property), ...resourceFields },
  { ...closed, title: 'Meter' },
);

/** Read in full by `planVersionFromJson`, which names every fault at its place; this bounds what comes in. */
export const NewPlan = Type.Object({ interval: Type.Optional(Type.Literal('month')), metadata: Type.Optional(Metadata) });

export const Plan = Type.Object(
  {
    id: idOf('pln'),
    code: Code,
    name: Name,
    currency: CurrencyCode,
    interval: Type.Literal('month'),
    plan_version_id: idOf('plv'),
    version_number: Type.Integer({ minimum: 1 }),
    charges: ChargesAnswer,
    ...resourceFields,
  },
  { ...closed, title: 'Plan' },
);
