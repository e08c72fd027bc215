import { describe, expect, it } from 'vitest';
import type { Meter } from '#schemas/meter.ts';
import {
  billingOf,
  type EventVersion,
  measurementsOf,
  type SubscriptionFacts,
  sortRows,
  versionsOf,
} from '../../../../api/events/event-fate.ts';
import type { EventVoid, KeyRow } from '../../../../api/events/events.clickhouse.ts';
import { keyDigest, replacementKey } from '../../../../schemas/amendment.ts';
import { plainTerms } from '../../../support/plain-terms.ts';

const organization = 'org_1';
const digest = keyDigest(organization, 'k').toString('hex');
const row = (sequence: bigint, customer = 'c'): KeyRow => ({
  digest,
  sequence,
  event: 'llm',
  customer,
  occurredAtMs: 150,
  receivedAtMs: 160,
});
const voidAt = (voidSequence: bigint, of: Partial<EventVoid>): EventVoid => ({
  digest,
  rowSequence: 0n,
  voidSequence,
  reason: 'voided',
  firstSequence: 0n,
  amendmentId: '',
  ...of,
});
const tokens: Meter = {
  code: 'tokens',
  version: 2,
  event: 'llm',
  aggregation: 'sum',
  property: 'tokens',
  expression: null,
  filter: null,
  groupBy: [],
  rounding: null,
  percentile: null,
};
const version = (of: Partial<EventVersion> = {}): EventVersion => ({
  event: 'llm',
  customer: 'ext',
  occurredAtMs: 150,
  properties: [['tokens', '3']],
  amendmentId: undefined,
  from: 10n,
  until: undefined,
  endedAs: undefined,
  ...of,
});
const month = { unit: 'month', count: 1 } as const;
const subscription: SubscriptionFacts = {
  ...plainTerms({ startedAt: 100, endedAt: 300 }),
  id: 'sub_1',
  names: ['cus_1', 'ext'],
  versions: new Map([
    [
      'plv_1',
      {
        lateUsage: 'bill_next',
        charges: [
          { code: 'base', meter: undefined, interval: month },
          { code: 'used', meter: 'tokens', interval: month },
        ],
        meters: new Map([['tokens', tokens]]),
      },
    ],
  ]),
  periods: [
    {
      item: 'plan',
      planVersionId: 'plv_1',
      interval: undefined,
      invoiceId: 'inv_1',
      span: { start: 100, end: 200 },
      watermark: 20n,
      lines: [{ position: 1, charge: 'used' }],
      deltas: [],
    },
  ],
};
const facts = { customerNames: new Set(['cus_1', 'ext']), subscriptions: [subscription] };
const reasons = (one: EventVersion, of = facts) => billingOf(one, of).map(({ reason }) => reason ?? 'billed');

describe('rows of a key', () => {
  it('are the first, later twins by what they say, and those that nobody has checked yet', () => {
    const voids = [
      voidAt(11n, { rowSequence: 11n, reason: 'twin' }),
      voidAt(12n, { rowSequence: 12n, reason: 'conflict' }),
    ];
    const { originals, twins } = sortRows([row(10n), row(11n), row(12n), row(30n)], voids, 20n);
    expect(originals.map(({ sequence }) => sequence)).toEqual([10n]);
    expect(twins.map(({ sequence, reason }) => `${sequence} ${reason}`)).toEqual([
      '11 twin',
      '12 conflict',
      '30 unchecked',
    ]);
  });
});

describe('versions of an event', () => {
  it('follow each other: each begins with its amendment and ends with the next', () => {
    const replacementDigest = keyDigest(organization, replacementKey('k', 'amd_1')).toString('hex');
    const added = { event: 'llm', customer: 'd', occurredAtMs: 170, properties: [] };
    const voids = [voidAt(20n, { reason: 'replaced' }), voidAt(30n, { digest: replacementDigest })];
    const versions = versionsOf(
      organization,
      'k',
      [{ ...row(10n), properties: [] }],
      [{ id: 'amd_1', sequence: 20n, added }],
      voids,
    );
    expect(versions.map(({ amendmentId, from, until, endedAs }) => [amendmentId, from, until, endedAs])).toEqual([
      [undefined, 10n, 20n, 'replaced'],
      ['amd_1', 20n, 30n, 'void'],
    ]);
  });
});

describe('[I11] where an event is billed, or why not', () => {
  it('names invoice, line, charge and what the meter read', () => {
    expect(billingOf(version(), facts)).toEqual([
      {
        reason: undefined,
        subscriptionId: 'sub_1',
        charge: 'used',
        meter: tokens,
        value: '3',
        invoiceId: 'inv_1',
        linePosition: 1,
      },
    ]);
  });

  it.each([
    ['behind the watermark of the invoice', { from: 21n }, 'late'],
    ['at its watermark', { from: 20n }, 'billed'],
    ['of nobody', { customer: 'nobody' }, 'no_customer'],
    ['before the subscription', { occurredAtMs: 99 }, 'no_subscription'],
    ['at its end', { occurredAtMs: 300 }, 'no_subscription'],
    ['in a period that is not invoiced', { occurredAtMs: 250 }, 'period_open'],
    ['that no meter of the plan counts', { event: 'other' }, 'no_charge'],
    ['in which the meter finds no number', { properties: [] }, 'unmeasured'],
    ['that was made void before the invoice', { until: 20n, endedAs: 'void' }, 'void'],
    ['that was replaced before the invoice', { until: 15n, endedAs: 'replaced' }, 'replaced'],
    ['that was made void after the invoice', { until: 21n, endedAs: 'void' }, 'billed'],
    ['late, and void meanwhile', { from: 21n, until: 22n, endedAs: 'void' }, 'void'],
    ['late, in which the meter finds no number', { from: 21n, properties: [] }, 'unmeasured'],
    ['without a number, and made void after the invoice', { properties: [], until: 21n, endedAs: 'void' }, 'void'],
    [
      'without a number, and replaced before the invoice',
      { properties: [], until: 20n, endedAs: 'replaced' },
      'replaced',
    ],
    ['without a number in a period that is not invoiced', { properties: [], occurredAtMs: 250 }, 'unmeasured'],
    ['of nobody, and void', { customer: 'nobody', until: 22n, endedAs: 'void' }, 'void'],
  ] as const)('%s', (_, of, expected) => {
    expect(reasons(version(of as Partial<EventVersion>))).toEqual([expected]);
  });

  it.each([
    [
      'that says its amount',
      [
        ['tokens', '3'],
        ['cost', '0.5'],
      ],
      {},
      'billed',
    ],
    ['that says no amount', [['tokens', '3']], {}, 'no_amount'],
    [
      'that says an amount which is no number',
      [
        ['tokens', '3'],
        ['cost', 'much'],
      ],
      {},
      'no_amount',
    ],
    ['that says an amount and no value', [['cost', '0.5']], {}, 'unmeasured'],
    ['without an amount in a period that is not invoiced', [['tokens', '3']], { occurredAtMs: 250 }, 'no_amount'],
    ['without an amount, and late', [['tokens', '3']], { from: 21n }, 'no_amount'],
    ['without an amount, and void', [['tokens', '3']], { until: 20n, endedAs: 'void' }, 'void'],
  ] as const)('of a price that is in the event, %s', (_, properties, of, expected) => {
    const charges = [{ code: 'used', meter: 'tokens', interval: month, amountProperty: 'cost' }];
    const versions = new Map([
      ['plv_1', { lateUsage: 'bill_next' as const, charges, meters: new Map([['tokens', tokens]]) }],
    ]);
    const dynamic = { ...subscription, versions };
    const one = version({ properties, ...(of as Partial<EventVersion>) });
    const [billing] = billingOf(one, { ...facts, subscriptions: [dynamic] });
    expect(billing?.reason ?? 'billed').toBe(expected);
    expect(billing?.linePosition).toBe(expected === 'billed' ? 1 : undefined);
  });

  it('is the invoice that bills its time, also where the subscription was ended before that afterwards', () => {
    const ended = { ...facts, subscriptions: [{ ...subscription, endedAt: 120 }] };
    expect(reasons(version(), ended)).toEqual(['billed']);
    expect(reasons(version({ from: 21n }), ended)).toEqual(['late']);
    expect(reasons(version({ occurredAtMs: 200 }), ended)).toEqual(['no_subscription']);
  });

  it('is nowhere in a trial and in a pause, and follows the plan, the add-ons and the intervals of its time', () => {
    const free = { ...subscription, startedAt: 100, endedAt: null, periods: [], trialEndsAt: 140 };
    const of = (changes: SubscriptionFacts['changes'], some: Partial<SubscriptionFacts> = {}) => ({
      ...facts,
      subscriptions: [{ ...free, changes, ...some }],
    });
    const bills = 'next' as const;
    expect(reasons(version({ occurredAtMs: 139 }), of([]))).toEqual(['trial']);
    expect(reasons(version({ occurredAtMs: 140 }), of([]))).toEqual(['period_open']);
    const pause = { kind: 'pause', usage: 'unbilled', effectiveAt: 150, bills } as const;
    expect(reasons(version(), of([pause]))).toEqual(['paused']);
    expect(reasons(version(), of([pause, { kind: 'resume', effectiveAt: 150, bills }]))).toEqual(['period_open']);
    // Another subscription that takes it goes before.
    const both = { ...facts, subscriptions: [{ ...free, changes: [pause] }, subscription] };
    expect(reasons(version(), both)).toEqual(['billed']);
    const flat = new Map([
      ...subscription.versions,
      ['plv_2', { lateUsage: 'bill_next', charges: [], meters: new Map() }],
    ] as const);
    const other = { kind: 'plan', planVersionId: 'plv_2', interval: month, effectiveAt: 150, bills } as const;
    expect(reasons(version(), of([other], { versions: flat }))).toEqual(['no_charge']);
    expect(reasons(version({ occurredAtMs: 149 }), of([other], { versions: flat }))).toEqual(['period_open']);
    const addOn = { kind: 'add_on', addOnId: 'pln_2', planVersionId: 'plv_1', quantity: 1, effectiveAt: 150, bills };
    const beside = of([other, addOn as (typeof free.changes)[number]], { versions: flat });
    expect(reasons(version(), beside)).toEqual(['period_open']);
    // What bills the charges of another interval says nothing of these.
    const [billed] = subscription.periods;
    const yearly = { ...billed, interval: { unit: 'year', count: 1 } } as (typeof subscription.periods)[number];
    expect(reasons(version(), of([], { periods: [yearly] }))).toEqual(['period_open']);
    expect(reasons(version(), of([], { periods: [{ ...yearly, interval: month }] }))).toEqual(['billed']);
  });

  it('is waived in the billing period in which its subscription ends, where that was said, and not before', () => {
    const at = (text: string) => Date.parse(text);
    const ended = (endedAt: string, more: Partial<SubscriptionFacts> = {}) => ({
      ...facts,
      subscriptions: [
        { ...subscription, startedAt: 0, endedAt: at(endedAt), waivesFinalUsage: true, periods: [], ...more },
      ],
    });
    const of = (text: string) => version({ occurredAtMs: at(text) });
    expect(reasons(of('2026-10-31T23:59:59Z'), ended('2026-11-16T00:00:00Z'))).toEqual(['period_open']);
    expect(reasons(of('2026-11-01T00:00:00Z'), ended('2026-11-16T00:00:00Z'))).toEqual(['waived']);
    expect(reasons(of('2026-11-16T00:00:00Z'), ended('2026-11-16T00:00:00Z'))).toEqual(['no_subscription']);
    // The period that ends with it is the one in which it ends.
    expect(reasons(of('2026-11-01T00:00:00Z'), ended('2026-12-01T00:00:00Z'))).toEqual(['waived']);
    const kept = ended('2026-11-16T00:00:00Z', { waivesFinalUsage: false });
    expect(reasons(of('2026-11-01T00:00:00Z'), kept)).toEqual(['period_open']);
  });

  it('has an entry for each subscription and charge that counts it', () => {
    const second = { ...subscription, id: 'sub_2', periods: [] };
    expect(reasons(version(), { ...facts, subscriptions: [subscription, second] })).toEqual(['billed', 'period_open']);
  });
});

describe('the meters of an event', () => {
  it('are those that count it, with the exact text that they read', () => {
    const exact = version({ properties: [['tokens', '0.100000000001']] });
    expect(measurementsOf(exact, [tokens, { ...tokens, code: 'other', event: 'other' }])).toEqual([
      { meter: tokens, value: '0.100000000001' },
    ]);
    expect(measurementsOf(version({ properties: [['tokens', 'many']] }), [tokens])).toEqual([
      { meter: tokens, value: null },
    ]);
  });
});

describe('[I15] an event of a period that has deltas', () => {
  const [period] = subscription.periods;
  const delta = { state: 'billed' as const, invoiceId: 'inv_2', lines: [{ position: 4, charge: 'used' }] };
  const corrected = (
    ...deltas: (typeof delta | { state: 'unchanged' | 'reported'; invoiceId: string; lines: [] })[]
  ) => ({
    ...facts,
    subscriptions: [
      {
        ...subscription,
        periods: period
          ? [{ ...period, deltas: deltas.map((one, at) => ({ ...one, watermark: BigInt(30 + 10 * at) })) }]
          : [],
      },
    ],
  });
  const told = (one: EventVersion, of: ReturnType<typeof corrected>) =>
    billingOf(one, of).map(({ reason = 'billed', invoiceId, linePosition, takenBack }) => ({
      reason,
      invoiceId,
      linePosition,
      takenBack,
    }))[0];
  const second = { ...delta, invoiceId: 'inv_3' };

  it('is on the first invoice that counts it', () => {
    const of = corrected(delta, second);
    expect(told(version({ from: 20n }), of)).toMatchObject({ invoiceId: 'inv_1', linePosition: 1 });
    expect(told(version({ from: 21n }), of)).toMatchObject({ reason: 'billed', invoiceId: 'inv_2', linePosition: 4 });
    expect(told(version({ from: 30n }), of)).toMatchObject({ invoiceId: 'inv_2' });
    expect(told(version({ from: 31n }), of)).toMatchObject({ invoiceId: 'inv_3' });
    expect(told(version({ from: 41n }), of)).toMatchObject({ reason: 'late', invoiceId: 'inv_1' });
  });

  it('is taken back by the first one that does not count it any more', () => {
    const of = corrected(delta, second);
    expect(told(version({ until: 21n, endedAs: 'void' }), of)).toMatchObject({
      reason: 'billed',
      invoiceId: 'inv_1',
      takenBack: { invoiceId: 'inv_2', linePosition: 4 },
    });
    expect(told(version({ from: 25n, until: 31n, endedAs: 'replaced' }), of)).toMatchObject({
      invoiceId: 'inv_2',
      takenBack: { invoiceId: 'inv_3' },
    });
    expect(told(version({ from: 21n, until: 30n, endedAs: 'void' }), of)).toMatchObject({ reason: 'void' });
    expect(told(version({ until: 41n, endedAs: 'void' }), of)?.takenBack).toBeUndefined();
  });

  it('that comes to nothing is billed by the first invoice, and where it is only reported it stays late', () => {
    const unchanged = { state: 'unchanged' as const, invoiceId: 'inv_1', lines: [] as [] };
    expect(told(version({ from: 21n }), corrected(unchanged))).toEqual({
      reason: 'billed',
      invoiceId: 'inv_1',
      linePosition: undefined,
      takenBack: undefined,
    });
    const reported = { ...unchanged, state: 'reported' as const };
    expect(told(version({ from: 21n }), corrected(reported))).toMatchObject({ reason: 'late', invoiceId: 'inv_1' });
  });
});
