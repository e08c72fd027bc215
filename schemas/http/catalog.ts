/** Plans in requests and answers. */
import { type Static, Type } from 'typebox';
import { exampleHead, exampleId } from '#schemas/http/example-parts.ts';
import { Code, CurrencyCode, closed, idOf, idParam, Metadata, Name, resourceFields } from '#schemas/http/fields.ts';
import { ChargesAnswer, flatChargeExample, meteredChargeExample, newPlanExample } from '#schemas/http/plan.ts';

export const planExample = {
  id: exampleId('pln', 3),
  code: newPlanExample.code,
  name: newPlanExample.name,
  currency: newPlanExample.currency,
  interval: 'month',
  plan_version_id: exampleId('plv', 4),
  version_number: 1,
  charges: [{ ...flatChargeExample, meter: null }, meteredChargeExample],
  ...exampleHead,
};

export const PlanId = idParam(planExample.code);

/** What a version of a plan is never changes, only what it is called. */
export const NamePatch = Type.Object(
  { name: Type.Optional(Name), metadata: Type.Optional(Metadata) },
  {
    ...closed,
    title: 'PlanPatch',
    minProperties: 1,
    description: 'A field that is left out stays.',
    examples: [{ name: 'Starter 2026' }],
  },
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
  { ...closed, title: 'Plan', examples: [planExample] },
);
