/** Entitlements in plans, and what subscriptions and customers are entitled to. */
import { type TSchema, Type } from 'typebox';
import { entitlementsMax, overages, resets } from '#schemas/entitlement.ts';
import { decimalPattern } from '#schemas/fault.ts';
import { exampleId, exampleMonth } from '#schemas/http/example-parts.ts';
import { featureExample } from '#schemas/http/features.ts';
import { Code, closed, Decimal, ExternalId, Instant, idOf, Name, nullable, Sequence } from '#schemas/http/fields.ts';
import { MeterVersionNumber } from '#schemas/http/meters.ts';
import { codePattern } from '#schemas/names.ts';

const feature = Type.String({ pattern: codePattern, description: 'Code of the feature; of each one at most.' });
const Quantity = (description: string) =>
  Type.Unsafe<string | null>({ type: ['string', 'null'], pattern: decimalPattern, description });

const enabled = Type.Boolean({ description: 'Of a feature that is a switch.' });
const limit = Quantity('Of a feature that is a limit; null is unlimited.');
const allowance = Quantity('Of a metered feature: how much of it is included; null is unlimited.');
const ResetName = Type.Enum([...resets], {
  title: 'Reset',
  description: 'When what was used is counted from zero again; by the calendar of UTC, weeks from Monday.',
});
const OverageName = Type.Enum([...overages], {
  title: 'Overage',
  description: 'What is to become of usage beyond the allowance. The events are accepted and billed in any case.',
});

/** To publishable keys alone, who see no features. */
const named = { name: Type.Optional(Name) };

const entitlementSchema = (prefix: '' | 'New') => {
  const fields: Record<string, TSchema> = prefix === 'New' ? { feature } : { feature, ...named };
  const defaulted = (schema: TSchema): TSchema => (prefix === 'New' ? Type.Optional(schema) : schema);
  const kind = (more: Record<string, TSchema>, title: string) =>
    Type.Object({ ...fields, ...more }, { ...closed, title: `${prefix}${title}` });
  return Type.Union(
    [
      kind({ enabled }, 'SwitchTerms'),
      kind({ limit }, 'LimitTerms'),
      kind({ allowance, reset: defaulted(ResetName), overage: defaulted(OverageName) }, 'MeteredTerms'),
    ],
    { title: `${prefix}Entitlement` },
  );
};
const entitlementsSchema = (prefix: '' | 'New') =>
  Type.Array(entitlementSchema(prefix), { maxItems: entitlementsMax, description: 'What the plan includes.' });

export const NewEntitlements = entitlementsSchema('New');
export const Entitlements = entitlementsSchema('');

const Watermark = Type.Unsafe<string>({
  ...Sequence,
  description: 'The highest stream sequence that is counted in what was used.',
});
const ResetPeriod = Type.Object(
  { start: Instant, end: nullable(Instant) },
  {
    ...closed,
    title: 'ResetPeriod',
    description: 'What is counted in what was used: from start, before end; null where it never begins anew.',
  },
);
const used = Type.Unsafe<string>({ ...Decimal, description: "The meter's quantity of the period." });
/** What was computed may have more digits than what is given. */
const Computed = (description: string) =>
  Type.Unsafe<string | null>({ type: ['string', 'null'], pattern: '^-?[0-9]+(\\.[0-9]+)?$', description });
const left = Computed('What is left of the allowance, 0 at least; null where that is unlimited.');
const featureFields = { feature: Code, name: Name };

const EntitledSwitch = Type.Object(
  { ...featureFields, type: Type.Literal('switch'), enabled },
  { ...closed, title: 'EntitledSwitch' },
);
const EntitledLimit = Type.Object(
  { ...featureFields, type: Type.Literal('limit'), limit },
  { ...closed, title: 'EntitledLimit' },
);
const meteredFields = {
  meter: Code,
  meter_version: MeterVersionNumber,
  allowance,
  reset: ResetName,
  overage: OverageName,
  period: ResetPeriod,
  used,
  left,
};
const EntitledUsage = Type.Object(
  { ...featureFields, type: Type.Literal('metered'), ...meteredFields },
  { ...closed, title: 'EntitledUsage' },
);

const subscriptionId = exampleId('sub', 6);
const customerId = exampleId('cus', 5);
const usedExample = {
  meter: 'tokens',
  meter_version: 1,
  allowance: '500000',
  reset: 'billing_period',
  overage: 'allowed',
  period: exampleMonth,
  used: '250000',
  left: '250000',
};
const meteredExample = { feature: 'tokens', name: 'Tokens', type: 'metered' };
const switchExample = { feature: featureExample.code, name: featureExample.name, type: 'switch', enabled: true };

export const SubscriptionEntitlements = Type.Object(
  {
    subscription_id: idOf('sub'),
    customer_id: idOf('cus'),
    plan_version_id: idOf('plv'),
    watermark: Watermark,
    items: Type.Array(Type.Union([EntitledSwitch, EntitledLimit, EntitledUsage], { title: 'Entitled' })),
  },
  {
    ...closed,
    title: 'SubscriptionEntitlements',
    description: 'What a running subscription is entitled to; one that has ended to nothing.',
    examples: [
      {
        subscription_id: subscriptionId,
        customer_id: customerId,
        plan_version_id: exampleId('plv', 4),
        watermark: '42',
        items: [switchExample, { ...meteredExample, ...usedExample }],
      },
    ],
  },
);

const SubscriptionShare = Type.Object(
  { subscription_id: idOf('sub'), ...meteredFields },
  { ...closed, title: 'SubscriptionShare' },
);
const EntitledUsageInAll = Type.Object(
  {
    ...featureFields,
    type: Type.Literal('metered'),
    allowance: Computed('The sum over the subscriptions; null where one of them is unlimited.'),
    used: Computed(
      'Null where subscriptions count different periods or versions of the meter: there is no one figure.',
    ),
    left: Computed('Null where `allowance` or `used` is.'),
    subscriptions: Type.Array(SubscriptionShare, {
      description: "All usage is the customer's: each subscription counts all of it in its period.",
    }),
  },
  { ...closed, title: 'EntitledUsageInAll' },
);

export const CustomerEntitlements = Type.Object(
  {
    customer_id: idOf('cus'),
    external_id: ExternalId,
    watermark: Watermark,
    items: Type.Array(Type.Union([EntitledSwitch, EntitledLimit, EntitledUsageInAll], { title: 'EntitledInAll' })),
  },
  {
    ...closed,
    title: 'CustomerEntitlements',
    description:
      'Over all running subscriptions: a switch is on where one has it on, a limit is the largest, allowances are summed.',
    examples: [
      {
        customer_id: customerId,
        external_id: 'acme',
        watermark: '42',
        items: [
          switchExample,
          {
            ...meteredExample,
            allowance: usedExample.allowance,
            used: usedExample.used,
            left: usedExample.left,
            subscriptions: [{ subscription_id: subscriptionId, ...usedExample }],
          },
        ],
      },
    ],
  },
);
