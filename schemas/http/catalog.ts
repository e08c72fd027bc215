/** Plans in requests and answers. */
import { type Static, Type } from 'typebox';
import { Code, CurrencyCode, closed, idOf, Metadata, Name, resourceFields } from '#schemas/http/fields.ts';
import { ChargesAnswer } from '#schemas/http/plan.ts';

/** What a version of a plan is never changes, only what it is called. */
export const NamePatch = Type.Object(
  { name: Type.Optional(Name), metadata: Type.Optional(Metadata) },
  { ...closed, title: 'PlanPatch', minProperties: 1, description: 'A field that is left out stays.' },
);
export type NamePatch = Static<typeof NamePatch>;

/** Read in full by `planVersionFromJson`, which names every fault at its place; this bounds what comes in. */
export const NewPlan = Type.Object({
  interval: Type.Optional(Type.Literal('month')),
  metadata: Type.Optional(Metadata),
});

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
