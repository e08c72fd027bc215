/** The documented schema of a plan against its reader: two descriptions of one thing, written apart. */
import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { Type } from 'typebox';
import { describe, expect, it } from 'vitest';
import { NewPlanDocument, termFields, termsToAnswer } from '#schemas/http/plan.ts';
import { type PlanVersionJson, planTermsToJson, planVersionFromJson } from '#schemas/plan.ts';
import { priceToJson } from '#schemas/price/price.ts';
import { anyCurrency, prices } from '../../../support/rating-arbitraries.ts';
import { scaled } from '../../../support/scale.ts';

const ajv = new Ajv2020({ strict: false });
const isDocumented = ajv.compile(NewPlanDocument);
const isAnswer = ajv.compile(Type.Object(termFields, { additionalProperties: false }));

/** As a request may have it: a flat charge may leave its meter out, and what has a default is left out. */
type GivenPlan = Pick<PlanVersionJson, 'code' | 'name' | 'currency'> & { readonly charges: readonly object[] };

/** Null is none, and undefined leaves it out. */
const boundOf = (field: string, amount: string | null | undefined, other: string | undefined) => {
  const bound = amount && { amount, ...(other !== undefined && { currency_options: { [other]: amount } }) };
  return amount === undefined ? {} : { [field]: bound };
};

const entitlements = [
  { feature: 'sso', enabled: true },
  { feature: 'seats', limit: '5' },
  { feature: 'tokens', allowance: null },
  { feature: 'calls', allowance: '1000.5', reset: 'day', overage: 'refused' },
];

/** By the place of the charge. */
const flatTimings = ['arrears', 'advance', 'arrears', 'once'];

const plans: fc.Arbitrary<GivenPlan> = fc
  .record({
    currency: anyCurrency,
    other: fc.option(anyCurrency, { nil: undefined }),
    prices: fc.array(prices, { minLength: 1, maxLength: 4 }),
    minimum: fc.constantFrom(undefined, null, '0', '70'),
    cap: fc.constantFrom(undefined, null, '70', '1000'),
    entitled: fc.option(fc.subarray(entitlements), { nil: undefined }),
  })
  .map(({ currency, other, prices, minimum, cap, entitled }) => ({
    code: 'plan',
    name: 'Plan',
    currency,
    ...boundOf('minimum_commitment', minimum, other === currency ? undefined : other),
    ...(entitled && { entitlements: entitled }),
    ...boundOf('spend_cap', cap, other === currency ? undefined : other),
    charges: prices.map((price, index) => ({
      code: `charge-${index}`,
      name: 'Charge',
      ...(price.model === 'flat' ? (index % 2 === 0 ? { meter: null } : {}) : { meter: 'tokens' }),
      price: priceToJson(price),
      ...(index % 2 === 1 && { timing: price.model === 'flat' ? flatTimings[index] : 'arrears' }),
      ...(index % 3 === 1 && { billing_interval: { unit: 'quarter' } }),
      ...(other !== undefined && other !== currency && { currency_options: { [other]: priceToJson(price) } }),
    })),
  }));

type Node = Record<string, unknown> | unknown[];
const isNode = (value: unknown): value is Node => typeof value === 'object' && value !== null;
const nodesOf = (value: unknown): Node[] => (isNode(value) ? [value, ...Object.values(value).flatMap(nodesOf)] : []);

const strange = fc.constantFrom<unknown>(
  ...[
    '',
    '0',
    '0.0',
    '00.000',
    '1',
    '-1',
    '1.5',
    '1e3',
    '0.0000000000001',
    '123456789012345678901',
    '1'.repeat(20),
    'flat',
    'package',
    'tokens',
    'XXX',
    'USD',
  ],
  ...['a\u0000', 'a\n', '😀'.repeat(200), 'x'.repeat(65), null, 0, 1.5, true, [], {}, undefined],
  ...[
    { amount: '5' },
    { feature: 'sso', enabled: false },
    'week',
    { unit: 'week', count: 2 },
    'advance',
    'once',
    { up_to: null, unit_amount: '1' },
    { up_to: '5', unit_amount: '1' },
    { model: 'flat', amount: '1' },
  ],
);
const names = [
  'code',
  'name',
  'meter',
  'price',
  'model',
  'tiers',
  'up_to',
  'unit_amount',
  'flat_amount',
  'free_units',
  'package_size',
  'partial_package',
  'minimum_amount',
  'maximum_amount',
  'percent',
  'basis_points',
  'fixed_amount',
  'event_minimum_amount',
  'event_maximum_amount',
  'free_events',
  'amount_property',
  'factor',
  'dimensions',
  'cells',
  'match',
  'kind',
  'default_price',
  'amount',
  'currency_options',
  'add_on',
  'plans',
  'entitlements',
  'feature',
  'enabled',
  'limit',
  'allowance',
  'reset',
  'overage',
  'timing',
  'billing_interval',
  'unit',
  'count',
  'minimum_term',
  'minimum_commitment',
  'spend_cap',
  'EUR',
  'extra',
];

/** One field somewhere in it is changed, added, taken away, or stands elsewhere. */
const changed = (plan: GivenPlan, [where, what, name, value]: readonly [number, number, string, unknown]): unknown => {
  const copy: unknown = structuredClone(plan);
  const nodes = nodesOf(copy);
  const node = nodes[where % nodes.length] as Node;
  if (Array.isArray(node)) {
    if (what % 3 === 0) node.reverse();
    else if (what % 3 === 1) node.push(value === undefined ? node[0] : value);
    else node.splice(what % (node.length + 1), 1);
    return copy;
  }
  const keys = Object.keys(node);
  const key = what % 3 === 0 ? name : (keys[what % Math.max(1, keys.length)] ?? name);
  if (value === undefined) delete node[key];
  else node[key] = value;
  return copy;
};
const changes = fc.tuple(fc.nat(), fc.nat(), fc.constantFrom(...names), strange);

/** Only the reader can say these; everything else the schema says, too. */
const isBeyondSchemas = ({ field, code }: { readonly field: string; readonly code: string }): boolean =>
  (field === 'add_on' && code === 'not_allowed') ||
  ['not_increasing', 'duplicate', 'below_minimum', 'too_precise'].includes(code) ||
  (field.endsWith('.billing_interval') && code === 'not_allowed') ||
  (/\.(up_to|free_units)$/.test(field) && code === 'not_allowed') ||
  (/\.(amount_property|dimensions\[\d\])$/.test(field) && code === 'wrong_length') ||
  (field.endsWith('.package_amount') && code === 'not_a_decimal') ||
  (/\.match(\.|$)/.test(field) && ['missing', 'unknown_field'].includes(code)) ||
  /\.currency_options\.[A-Z]{3} (?:missing|not_allowed)$|\.currency_options\.[A-Z]{3}\.model not_allowed$/.test(
    `${field} ${code}`,
  );

describe('the documented schema of a plan', () => {
  it('takes every plan that the reader takes, and its canonical form in answers', () => {
    fc.assert(
      fc.property(plans, (plan) => {
        const read = planVersionFromJson(plan);
        expect(read.ok).toBe(true);
        expect(isDocumented(plan), JSON.stringify(isDocumented.errors)).toBe(true);
        if (read.ok)
          expect(isAnswer(termsToAnswer(planTermsToJson(read.value))), JSON.stringify(isAnswer.errors)).toBe(true);
      }),
      { numRuns: scaled(1_000) },
    );
  });

  it('says the same as the reader of any change to a plan, as far as a JSON schema can', () => {
    const seen = { both: 0, neither: 0, beyond: 0 };
    fc.assert(
      fc.property(plans, fc.array(changes, { minLength: 1, maxLength: 2 }), (plan, list) => {
        const json = list.reduce<unknown>((inner, change) => changed(inner as GivenPlan, change), plan);
        const read = planVersionFromJson(json);
        const documented = isDocumented(json);
        if (read.ok) {
          // Whole plans are put into words only for a failure.
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
