/** Plans and their versions in requests and answers. */
import { Type } from 'typebox';
import { PlanKindName } from '#schemas/http/add-ons.ts';
import { exampleCreatedAt, exampleHead, exampleId } from '#schemas/http/example-parts.ts';
import {
  Code,
  closed,
  formed,
  Instant,
  idOf,
  idParam,
  Metadata,
  Name,
  nullable,
  resourceFields,
} from '#schemas/http/fields.ts';
import {
  dearerTermsExample,
  flatChargeExample,
  meteredChargeExample,
  newPlanExample,
  termFields,
} from '#schemas/http/plan.ts';
import { intervalUnits } from '#schemas/interval.ts';
import { planVersionStates } from '#schemas/plan.ts';
import { noGeneralTerms } from '#schemas/plan-terms.ts';

const termsExample = {
  version_number: 1,
  state: 'active',
  currency: newPlanExample.currency,
  interval: 'month',
  ...noGeneralTerms,
};
export const planExample = {
  id: exampleId('pln', 3),
  code: newPlanExample.code,
  name: newPlanExample.name,
  kind: 'plan',
  ...termsExample,
  plan_version_id: exampleId('plv', 4),
  charges: [{ ...flatChargeExample, meter: null }, meteredChargeExample],
  ...exampleHead,
};
const planVersionExample = {
  ...termsExample,
  id: exampleId('plv', 20),
  plan_id: planExample.id,
  version_number: 2,
  state: 'draft',
  charges: dearerTermsExample.charges.map((charge) => ({ ...charge, meter: null })),
  activated_at: null,
  archived_at: null,
  version: 1,
  created_at: exampleCreatedAt,
  updated_at: exampleCreatedAt,
};

export const PlanId = idParam(planExample.code);

/** The rest is read by `planTermsFromJson`, which names every fault at its place; this bounds what comes in. */
export const PlanPatch = Type.Object(
  { name: Type.Optional(Name), metadata: Type.Optional(Metadata) },
  { minProperties: 1 },
);

/** Read in full by `planVersionFromJson`, like the rest of a plan. */
export const NewPlan = Type.Object({
  interval: Type.Optional(Type.Literal('month')),
  metadata: Type.Optional(Metadata),
  draft: Type.Optional(Type.Boolean()),
  kind: Type.Optional(PlanKindName),
});

export const PlanVersionParams = Type.Object(
  {
    ...PlanId.properties,
    version_number: formed('^[1-9][0-9]{0,8}$', 'the number of a version, from 1 on', {
      description: 'The number of a version of the plan, from 1 on.',
      examples: [String(planVersionExample.version_number)],
    }),
  },
  closed,
);

const State = Type.Enum([...planVersionStates], {
  title: 'PlanVersionState',
  description:
    'A draft may change; an active version is what is subscribed to, at most one of a plan; an archived one charges the subscriptions that have it, and no new ones.',
});

const VersionNumber = Type.Integer({ minimum: 1 });
const Interval = Type.Enum([...intervalUnits], {
  title: 'PlanInterval',
  description: 'The unit of the `billing_interval` of the charges, which says how many of them.',
});

const planFields = {
  id: idOf('pln'),
  code: Code,
  name: Name,
  kind: PlanKindName,
  interval: Interval,
  plan_version_id: idOf('plv'),
  version_number: VersionNumber,
  state: State,
  ...termFields,
};

/** The answer to a change. */
export const WrittenPlan = Type.Object(
  { ...planFields, ...resourceFields },
  {
    ...closed,
    title: 'WrittenPlan',
    examples: [planExample],
    description: 'A plan with its active version; where none is active, with its newest.',
  },
);

/**
 * What moves with each draft that is written, and what the operator notes, is nothing that everyone should see. Absent
 * and not empty: empty would say that there is nothing.
 */
export const Plan = Type.Object(
  { ...planFields, ...Type.Partial(Type.Object(resourceFields)).properties },
  {
    ...closed,
    title: 'Plan',
    examples: [planExample],
    description:
      'A plan with its active version; where none is active, with its newest. A publishable key sees plans with an active version alone, and of them neither `metadata`, `version`, `created_at` nor `updated_at`, which are always there for a secret key.',
  },
);

export const PlanVersion = Type.Object(
  {
    id: idOf('plv'),
    plan_id: idOf('pln'),
    version_number: VersionNumber,
    state: State,
    interval: Interval,
    ...termFields,
    activated_at: nullable(Instant),
    archived_at: nullable(Instant),
    version: resourceFields.version,
    created_at: Instant,
    updated_at: Instant,
  },
  { ...closed, title: 'PlanVersion', examples: [planVersionExample] },
);
