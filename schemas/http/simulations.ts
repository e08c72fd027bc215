/** Simulations in requests and answers. */
import { type TSchema, Type } from 'typebox';
import { namePattern } from '#schemas/display-name.ts';
import { planExample } from '#schemas/http/catalog.ts';
import { customerExample } from '#schemas/http/customers.ts';
import { exampleCreatedAt, exampleId, exampleMonth } from '#schemas/http/example-parts.ts';
import {
  Code,
  CurrencyCode,
  CustomerName,
  closed,
  Decimal,
  ExternalId,
  GivenInstant,
  Instant,
  idOf,
  idParam,
  nullable,
  Period,
  Sequence,
} from '#schemas/http/fields.ts';
import { dearerTermsExample, NewChargesDocument, termFields } from '#schemas/http/plan.ts';
import { newGeneralTermFields } from '#schemas/http/plan-terms.ts';
import { noGeneralTerms } from '#schemas/plan-terms.ts';
import {
  simulationCandidatesMax,
  simulationCauses,
  simulationFailures,
  simulationIdsMax,
  simulationMonthsMax,
  simulationStates,
} from '#schemas/simulation.ts';

const Name = Type.String({ pattern: namePattern });
const VersionNumber = Type.Integer({ minimum: 1, maximum: 999_999_999 });

const PlanReference = Type.Object(
  {
    plan: Type.Unsafe<string>({ ...Code, description: 'Code or id of a plan.' }),
    version: Type.Optional(
      Type.Unsafe<number>({ ...VersionNumber, description: 'Any version, drafts too; the active one if absent.' }),
    ),
  },
  { ...closed, title: 'SimulatedPlanReference' },
);

const InlinePlan = Type.Object(
  { name: Name, currency: CurrencyCode, charges: NewChargesDocument, ...newGeneralTermFields },
  { ...closed, title: 'NewSimulatedPlan', description: 'What no plan has yet, as the charges of a plan are written.' },
);

const Customers = Type.Union(
  [
    Type.Object(
      { ids: Type.Array(CustomerName, { minItems: 1, maxItems: simulationIdsMax }) },
      { ...closed, title: 'CustomersByName' },
    ),
    Type.Object(
      { plan: Type.Unsafe<string>({ ...Code, description: 'Code or id of a plan: its subscriptions are rated.' }) },
      { ...closed, title: 'CustomersOfPlan' },
    ),
    Type.Object({ all: Type.Literal(true) }, { ...closed, title: 'AllCustomers' }),
  ],
  { title: 'ChosenCustomers', description: 'Of them those that were subscribed in the time of the simulation.' },
);

const dearer = { name: 'Dearer base', currency: planExample.currency, charges: dearerTermsExample.charges };
const newSimulationExample = {
  name: 'Next year',
  from: '2026-10-01T00:00:00Z',
  to: '2026-11-01T00:00:00Z',
  customers: { all: true },
  baseline: 'current',
  candidates: [dearer],
};

/** The body is read by `readAsked`, which names every fault at its place; this is for the documents. */
export const NewSimulationDocument = Type.Object(
  {
    name: Type.Optional(Name),
    from: Type.Unsafe<string>({ ...GivenInstant, description: 'The first instant of a month in UTC.' }),
    to: Type.Unsafe<string>({
      ...GivenInstant,
      description: `The first instant of a month in UTC, not in it: at most ${simulationMonthsMax} months later, and not in the future.`,
    }),
    customers: Customers,
    baseline: Type.Optional(
      Type.Union([Type.Literal('current'), PlanReference], {
        title: 'SimulationBaseline',
        description: 'What is compared with: what the subscriptions are charged by, or a plan.',
      }),
    ),
    candidates: Type.Array(Type.Union([PlanReference, InlinePlan], { title: 'SimulationCandidate' }), {
      minItems: 1,
      maxItems: simulationCandidatesMax,
    }),
  },
  {
    ...closed,
    title: 'NewSimulation',
    description: 'Each month is a billing period of its own.',
    examples: [newSimulationExample],
  },
);

const planFields = {
  name: Type.String(),
  plan_code: nullable(Code),
  plan_version_id: nullable(idOf('plv')),
  version_number: nullable(Type.Integer({ minimum: 1 })),
  currency: CurrencyCode,
};
const described = {
  description: 'Terms as they were when the simulation was asked for; without a plan where they are of none.',
};
const SimulatedPlanHead = Type.Object(planFields, { ...closed, title: 'SimulatedPlanHead', ...described });
const SimulatedPlan = Type.Object(
  { ...planFields, ...termFields },
  { ...closed, title: 'SimulatedPlan', ...described },
);

const Count = Type.Integer({ minimum: 0 });

const Progress = Type.Object(
  {
    done: Type.Unsafe<number>({ ...Count, description: 'Customers that are rated under all candidates.' }),
    total: nullable(Count),
    share: Type.Number({ minimum: 0, maximum: 1 }),
    customers_per_second: nullable(Type.Number({ minimum: 0 })),
    remaining_seconds: nullable(Type.Number({ minimum: 0 })),
  },
  { ...closed, title: 'SimulationProgress', description: 'Null is what is not known yet.' },
);

const Percent = Type.Union([Decimal, Type.Null()], {
  description: 'The difference in percent of the baseline, half up at four decimals; null where the baseline is 0.',
});
const changeFields = { baseline: Decimal, amount: Decimal, difference: Decimal, percent: Percent };
const Revenue = Type.Object(changeFields, {
  ...closed,
  title: 'SimulatedRevenue',
  description: 'Of the customers that are compared: sums of what is printed on invoices.',
});
const Top = Type.Array(
  Type.Object(
    { customer_id: idOf('cus'), external_id: ExternalId, ...changeFields },
    { ...closed, title: 'SimulatedChange' },
  ),
);
const Distribution = Type.Object(
  Object.fromEntries(
    ['min', 'p5', 'p25', 'median', 'p75', 'p95', 'max', 'mean'].map((name): [string, TSchema] => [name, Decimal]),
  ),
  {
    ...closed,
    title: 'SimulationDistribution',
    description: 'Of the differences. Percentiles by the nearest rank; the mean is rounded half up to minor units.',
  },
);
const Bucket = Type.Object({ from: Decimal, to: Decimal, customers: Count }, { ...closed, title: 'SimulationBucket' });

const InCurrency = Type.Object(
  {
    currency: CurrencyCode,
    customers: Type.Object(
      { compared: Count, up: Count, down: Count, equal: Count, failed: Count },
      { ...closed, title: 'SimulatedCustomers' },
    ),
    revenue: Revenue,
    distribution: nullable(Distribution),
    histogram: Type.Array(Bucket, { description: 'Of the differences, half-open, all of one width.' }),
    top_increases: Top,
    top_decreases: Top,
  },
  { ...closed, title: 'SimulationInCurrency' },
);

const failedFields = {
  failed_period: Type.Union([Period, Type.Null()], {
    description: 'The first billing period that could not be rated; null where none is at fault.',
  }),
  cause: nullable(Type.Enum([...simulationCauses], { title: 'SimulationCause' })),
  message: nullable(Type.String()),
};
const notFailed = { failed_period: null, cause: null, message: null };

const Failed = Type.Object(
  {
    customer_id: idOf('cus'),
    external_id: ExternalId,
    currency: CurrencyCode,
    code: Type.Enum([...simulationFailures], { title: 'SimulationFailure' }),
    ...failedFields,
  },
  { ...closed, title: 'SimulationFailed' },
);

const Summary = Type.Object(
  {
    baseline: Type.Object(
      {
        revenue: Type.Array(
          Type.Object(
            {
              currency: CurrencyCode,
              amount: Decimal,
              customers: Type.Object(
                { counted: Count, failed: Count },
                {
                  ...closed,
                  title: 'BaselineCustomers',
                  description: 'Those whose baseline is in the amount, and those that are left out.',
                },
              ),
            },
            { ...closed, title: 'Revenue' },
          ),
        ),
      },
      { ...closed, title: 'SimulatedBaseline' },
    ),
    candidates: Type.Array(
      Type.Object(
        {
          candidate: Type.Integer({ minimum: 1, maximum: simulationCandidatesMax }),
          currencies: Type.Array(InCurrency),
          failures: Type.Array(Failed, { description: 'The first of them; all are among the results.' }),
        },
        { ...closed, title: 'SimulatedCandidate' },
      ),
    ),
  },
  { ...closed, title: 'SimulationSummary' },
);

const Chosen = Type.Object(
  {
    by: Type.Enum(['ids', 'plan', 'all'], { title: 'ChosenBy' }),
    ids: nullable(Type.Array(idOf('cus'))),
    plan_code: nullable(Code),
  },
  { ...closed, title: 'SimulationCustomers' },
);

const headFields = {
  id: idOf('sim'),
  name: nullable(Type.String()),
  state: Type.Enum([...simulationStates], { title: 'SimulationState' }),
  period: Period,
  progress: Progress,
  watermark: nullable(Sequence),
  failure: nullable(Type.String()),
  version: Type.Integer({ minimum: 1, description: 'Counts the changes; the ETag.' }),
  created_at: Instant,
  updated_at: Instant,
  started_at: nullable(Instant),
  ended_at: nullable(Instant),
};

const candidateExample = {
  name: dearer.name,
  plan_code: null,
  plan_version_id: null,
  version_number: null,
  currency: dearer.currency,
};
const changeExample = { baseline: '13.98', amount: '12.00', difference: '-1.98', percent: '-14.1631' };
const customerOfExample = { customer_id: customerExample.id, external_id: customerExample.external_id };
const headExample = {
  id: exampleId('sim', 21),
  name: newSimulationExample.name,
  state: 'completed',
  period: exampleMonth,
  progress: { done: 1, total: 1, share: 1, customers_per_second: 20, remaining_seconds: 0 },
  watermark: '42',
  failure: null,
  version: 2,
  created_at: exampleCreatedAt,
  updated_at: exampleCreatedAt,
  started_at: exampleCreatedAt,
  ended_at: exampleCreatedAt,
};
const simulationExample = {
  ...headExample,
  customers: { by: 'all', ids: null, plan_code: null },
  baseline: null,
  candidates: [
    { ...candidateExample, ...noGeneralTerms, charges: dearer.charges.map((charge) => ({ ...charge, meter: null })) },
  ],
  summary: {
    baseline: { revenue: [{ currency: 'USD', amount: '13.98', customers: { counted: 1, failed: 0 } }] },
    candidates: [
      {
        candidate: 1,
        currencies: [
          {
            currency: 'USD',
            customers: { compared: 1, up: 0, down: 1, equal: 0, failed: 0 },
            revenue: changeExample,
            distribution: Object.fromEntries(
              ['min', 'p5', 'p25', 'median', 'p75', 'p95', 'max', 'mean'].map((name) => [name, '-1.98']),
            ),
            histogram: [{ from: '-1.98', to: '-1.97', customers: 1 }],
            top_increases: [],
            top_decreases: [{ ...customerOfExample, ...changeExample }],
          },
        ],
        failures: [],
      },
    ],
  },
};

export const SimulationId = idParam(simulationExample.id);

export const Simulation = Type.Object(
  {
    ...headFields,
    customers: Chosen,
    baseline: Type.Union([SimulatedPlan, Type.Null()], {
      description: 'Null is what the subscriptions themselves are charged by.',
    }),
    candidates: Type.Array(SimulatedPlan),
    summary: Type.Union([Summary, Type.Null()], { description: 'There once it is completed.' }),
  },
  { ...closed, title: 'Simulation', examples: [simulationExample] },
);

/** Without what it compares in full, and without its summary: for lists. */
export const SimulationHead = Type.Object(
  { ...headFields, candidates: Type.Array(SimulatedPlanHead) },
  { ...closed, title: 'SimulationHead', examples: [{ ...headExample, candidates: [candidateExample] }] },
);

export const SimulationResult = Type.Object(
  {
    customer_id: idOf('cus'),
    external_id: ExternalId,
    candidate: Type.Integer({ minimum: 1, maximum: simulationCandidatesMax }),
    currency: CurrencyCode,
    baseline: nullable(Decimal),
    amount: nullable(Decimal),
    difference: nullable(Decimal),
    percent: Percent,
    failure: nullable(Type.Enum([...simulationFailures], { title: 'SimulationFailure' })),
    ...failedFields,
  },
  {
    ...closed,
    title: 'SimulationResult',
    examples: [{ ...customerOfExample, candidate: 1, currency: 'USD', ...changeExample, failure: null, ...notFailed }],
  },
);

export const resultsCsvExample =
  'customer_id,external_id,candidate,name,currency,baseline,amount,difference,percent,failure,failed_start,failed_end,cause,message\r\n' +
  `${customerExample.id},${customerExample.external_id},1,${dearer.name},USD,13.98,12.00,-1.98,-14.1631,,,,,\r\n`;
