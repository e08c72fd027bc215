/** Migrations of plans in requests and answers. */
import { Type } from 'typebox';
import { planExample } from '#schemas/http/catalog.ts';
import { Entitlements } from '#schemas/http/entitlements.ts';
import { exampleCreatedAt, exampleId } from '#schemas/http/example-parts.ts';
import {
  Code,
  CurrencyCode,
  CustomerName,
  closed,
  Decimal,
  GivenInstant,
  Instant,
  idOf,
  idParam,
  nullable,
  resourceFields,
} from '#schemas/http/fields.ts';
import { termFields } from '#schemas/http/plan.ts';
import { intervalSchema } from '#schemas/http/plan-terms.ts';
import { subscriptionExample } from '#schemas/http/subscriptions.ts';
import {
  migrationCustomersMax,
  moveOutcomes,
  planMigrationInstants,
  planMigrationStates,
  previewedSubscriptionsMax,
  sampledSubscriptionsMax,
  skipReasons,
} from '#schemas/plan-migration.ts';
import { changeBillings } from '#schemas/subscription-terms.ts';

const Count = Type.Integer({ minimum: 0 });
const VersionNumber = Type.Integer({ minimum: 1, maximum: 999_999_999 });

const At = Type.Enum([...planMigrationInstants], {
  title: 'PlanMigrationInstant',
  description: 'From when on each subscription has the other version: the end of its billing period, or at once.',
});
const Invoice = Type.Enum([...changeBillings], {
  title: 'PlanMigrationInvoice',
  description: 'When what was charged in advance is put right, as with a change of plan.',
});
const State = Type.Enum([...planMigrationStates], { title: 'PlanMigrationState' });
const Outcome = Type.Enum([...moveOutcomes], {
  title: 'MoveOutcome',
  description:
    'The subscription has the other version, or comes to it; or it stays as it is, by a rule (`reason`) or by a fault of ours (`detail`).',
});
const Reason = Type.Enum([...skipReasons], { title: 'SkipReason', description: 'Why a subscription stays as it is.' });

const filterFields = {
  customer_ids: Type.Optional(Type.Array(CustomerName, { minItems: 1, maxItems: migrationCustomersMax })),
  currency: Type.Optional(CurrencyCode),
};

export const NewPlanMigration = Type.Object(
  {
    from_version: Type.Union([VersionNumber, Type.Literal('all')], {
      title: 'MigratedVersion',
      description: 'The number of a version of the plan, or `all`: every version but the one that is moved to.',
    }),
    to: Type.Optional(
      Type.Object(
        {
          plan: Type.Optional(
            Type.Unsafe<string>({ ...Code, description: 'Code or id of a plan; the same if absent.' }),
          ),
          version: Type.Optional(
            Type.Unsafe<number>({ ...VersionNumber, description: 'It must be the active one, which is the default.' }),
          ),
        },
        { ...closed, title: 'PlanMigrationTarget' },
      ),
    ),
    at: Type.Optional(At),
    invoice: Type.Optional(Invoice),
    starts_at: Type.Optional(
      Type.Unsafe<string>({ ...GivenInstant, description: 'Nobody is moved before; at most a year ahead.' }),
    ),
    filter: Type.Optional(
      Type.Object(filterFields, {
        ...closed,
        title: 'PlanMigrationFilter',
        description: 'Whose subscriptions are moved, and of which currency; all where nothing is said.',
      }),
    ),
  },
  {
    ...closed,
    title: 'NewPlanMigration',
    description: '`at` is `period_end` if absent, and `invoice` is `next`.',
    examples: [{ from_version: 1, to: { plan: 'llm-team' }, at: 'period_end' }],
  },
);

const versionFields = {
  plan_id: idOf('pln'),
  plan_code: Code,
  plan_version_id: idOf('plv'),
  version_number: VersionNumber,
};
const Target = Type.Object(versionFields, { ...closed, title: 'PlanMigrationVersion' });
const targetExample = {
  plan_id: planExample.id,
  plan_code: planExample.code,
  plan_version_id: exampleId('plv', 20),
  version_number: 2,
};

const Filter = Type.Object(
  { customer_ids: nullable(Type.Array(idOf('cus'))), currency: nullable(CurrencyCode) },
  { ...closed, title: 'PlanMigrationChoice', description: 'Null is everyone, and any currency.' },
);

const askedFields = {
  plan_id: idOf('pln'),
  plan_code: Code,
  from_version: nullable(Type.Unsafe<number>({ ...VersionNumber, description: 'Null is every other version.' })),
  to: Target,
  at: At,
  invoice: Invoice,
  starts_at: nullable(Type.Unsafe<string>({ ...Instant, description: 'Nobody is moved before; null is at once.' })),
  filter: Filter,
};
const askedExample = {
  plan_id: planExample.id,
  plan_code: planExample.code,
  from_version: 1,
  to: targetExample,
  at: 'period_end',
  invoice: 'next',
  starts_at: null,
  filter: { customer_ids: null, currency: null },
};

export const planMigrationExample = {
  id: exampleId('pmg', 44),
  ...askedExample,
  state: 'running',
  progress: { done: 45, total: 60, share: 0.75, subscriptions_per_second: 30, remaining_seconds: 0.5 },
  counts: { moved: 0, scheduled: 44, failed: 0, skipped: [{ reason: 'change_pending', count: 1 }] },
  failure: null,
  started_at: exampleCreatedAt,
  ended_at: null,
  version: 1,
  created_at: exampleCreatedAt,
  updated_at: exampleCreatedAt,
};

export const PlanMigrationId = idParam(planMigrationExample.id);

export const PlanMigration = Type.Object(
  {
    id: idOf('pmg'),
    ...askedFields,
    state: State,
    progress: Type.Object(
      {
        done: Count,
        total: Type.Unsafe<number>({
          ...Count,
          description: 'Those that there were when it was asked for, or all that are done where those are more.',
        }),
        share: Type.Number({ minimum: 0, maximum: 1 }),
        subscriptions_per_second: nullable(Type.Number({ minimum: 0 })),
        remaining_seconds: nullable(Type.Number({ minimum: 0 })),
      },
      { ...closed, title: 'PlanMigrationProgress', description: 'Null is what is not known.' },
    ),
    counts: Type.Object(
      {
        moved: Count,
        scheduled: Count,
        failed: Count,
        skipped: Type.Array(Type.Object({ reason: Reason, count: Count }, { ...closed, title: 'SkippedCount' })),
      },
      { ...closed, title: 'PlanMigrationCounts' },
    ),
    failure: nullable(Type.String({ description: 'Why it stopped by itself; null where it did not.' })),
    started_at: nullable(Instant),
    ended_at: nullable(Instant),
    version: resourceFields.version,
    created_at: Instant,
    updated_at: Instant,
  },
  { ...closed, title: 'PlanMigration', examples: [planMigrationExample] },
);

export const PlanMigrationOutcome = Type.Object(
  {
    subscription_id: idOf('sub'),
    customer_id: idOf('cus'),
    outcome: Outcome,
    reason: nullable(Reason),
    detail: nullable(Type.String()),
    from_plan_version_id: idOf('plv'),
    change_id: nullable(
      Type.Unsafe<string>({ ...idOf('chg'), description: 'What `undo-change` takes back until it is in effect.' }),
    ),
    effective_at: nullable(Instant),
    created_at: Instant,
  },
  {
    ...closed,
    title: 'PlanMigrationOutcome',
    examples: [
      {
        subscription_id: subscriptionExample.id,
        customer_id: subscriptionExample.customer_id,
        outcome: 'scheduled',
        reason: null,
        detail: null,
        from_plan_version_id: planExample.plan_version_id,
        change_id: exampleId('chg', 45),
        effective_at: subscriptionExample.current_period.end,
        created_at: exampleCreatedAt,
      },
    ],
  },
);

const fieldNames = Type.Array(Type.String(), { description: 'The names of the fields that differ.' });
const Charge = termFields.charges.items;
const Entitlement = Entitlements.items;
const Differences = Type.Object(
  {
    charges: Type.Object(
      {
        added: Type.Array(Charge),
        removed: Type.Array(Charge),
        changed: Type.Array(
          Type.Object(
            { code: Code, fields: fieldNames, before: Charge, after: Charge },
            { ...closed, title: 'ChargeDifference' },
          ),
        ),
      },
      { ...closed, title: 'ChargeDifferences' },
    ),
    entitlements: Type.Object(
      {
        added: Type.Array(Entitlement),
        removed: Type.Array(Entitlement),
        changed: Type.Array(
          Type.Object(
            { code: Code, fields: fieldNames, before: Entitlement, after: Entitlement },
            { ...closed, title: 'EntitlementDifference' },
          ),
        ),
      },
      { ...closed, title: 'EntitlementDifferences' },
    ),
    terms: Type.Array(
      Type.Object(
        {
          term: Type.String(),
          before: Type.Unknown({ description: 'As the version has it.' }),
          after: Type.Unknown({ description: 'As the other version has it.' }),
        },
        { ...closed, title: 'TermDifference' },
      ),
    ),
  },
  { ...closed, title: 'PlanVersionDifferences', description: 'From a version that is left to the one moved to.' },
);

const FullPeriods = Type.Array(
  Type.Object({ interval: intervalSchema(''), amount: Decimal }, { ...closed, title: 'FullPeriodAmount' }),
  { description: 'What full billing periods cost without usage, one sum for each `billing_interval` of the charges.' },
);

const firstPrice = planExample.charges[0];

export const PlanMigrationPreview = Type.Object(
  {
    ...askedFields,
    subscriptions: Type.Object(
      {
        total: Count,
        judged: Type.Unsafe<number>({
          ...Count,
          description: `The first ${previewedSubscriptionsMax.toLocaleString('en-US')} at most; what follows is of them.`,
        }),
        will_move: Count,
        skipped: Type.Array(
          Type.Object(
            { reason: Reason, count: Count, examples: Type.Array(idOf('sub')) },
            { ...closed, title: 'WouldSkip' },
          ),
        ),
      },
      { ...closed, title: 'PreviewedSubscriptions' },
    ),
    versions: Type.Array(
      Type.Object(
        { version_number: VersionNumber, plan_version_id: idOf('plv'), subscriptions: Count, differences: Differences },
        { ...closed, title: 'MigratedFrom' },
      ),
    ),
    samples: Type.Array(
      Type.Object(
        {
          subscription_id: idOf('sub'),
          customer_id: idOf('cus'),
          currency: CurrencyCode,
          seats: Type.Integer({ minimum: 1 }),
          from_version: VersionNumber,
          effective_at: Instant,
          before: FullPeriods,
          after: FullPeriods,
        },
        { ...closed, title: 'SampledSubscription' },
      ),
      { description: `The first ${sampledSubscriptionsMax} at most that would be moved.` },
    ),
  },
  {
    ...closed,
    title: 'PlanMigrationPreview',
    examples: [
      {
        ...askedExample,
        subscriptions: {
          total: 60,
          judged: 60,
          will_move: 59,
          skipped: [{ reason: 'change_pending', count: 1, examples: [exampleId('sub', 46)] }],
        },
        versions: [
          {
            version_number: 1,
            plan_version_id: planExample.plan_version_id,
            subscriptions: 60,
            differences: {
              charges: {
                added: [],
                removed: [planExample.charges[1]],
                changed: [
                  {
                    code: 'base',
                    fields: ['price'],
                    before: firstPrice,
                    after: { ...firstPrice, price: { model: 'flat', amount: '12.00' } },
                  },
                ],
              },
              entitlements: { added: [], removed: [], changed: [] },
              terms: [],
            },
          },
        ],
        samples: [
          {
            subscription_id: subscriptionExample.id,
            customer_id: subscriptionExample.customer_id,
            currency: 'USD',
            seats: 1,
            from_version: 1,
            effective_at: subscriptionExample.current_period.end,
            before: [{ interval: { unit: 'month', count: 1 }, amount: '9.00' }],
            after: [{ interval: { unit: 'month', count: 1 }, amount: '12.00' }],
          },
        ],
      },
    ],
  },
);
