import { describe, expect, it } from 'vitest';
import { type Amount, parseAmount } from '#schemas/money.ts';
import type { Charge } from '#schemas/plan.ts';
import { WorkerEndedError } from '../../../../rater/run/rate-period.ts';
import { chargeSums, type PeriodsToSum } from '../../../../rater/simulate/charge-sums.ts';
import {
  rateSimulationShard,
  type SimulatedSum,
  type SimulatePorts,
  type SimulationShard,
} from '../../../../rater/simulate/rate-simulation.ts';
import type { PlanOfSpan, SubscribedSpan } from '../../../../rater/simulate/simulated-periods.ts';

const months = [Date.UTC(2026, 7), Date.UTC(2026, 8), Date.UTC(2026, 9)] as const;
const shard: SimulationShard = {
  simulationId: 'sim_1',
  shardNumber: 0,
  organizationId: 'org_1',
  requestId: 'req',
  period: { start: months[0], end: months[2] },
  askedAt: Date.UTC(2026, 10),
  watermark: 9n,
  firstCustomer: 40,
  customerIds: ['cus_a', 'cus_b', 'cus_c'],
  attempt: 1,
};
const flat = (amount: string): Charge => ({
  code: 'base',
  name: 'Base',
  meter: null,
  price: { model: 'flat', amount: parseAmount(amount) as Amount },
});
const plan =
  (name: string, amount: string): PlanOfSpan =>
  () => ({
    planId: name,
    planVersionId: name,
    charges: [flat(amount)],
    storedCharges: [{ code: 'base', name: 'Base', meter: null, price: { model: 'flat', amount } }],
    bounds: {},
    prorated: 'time',
  });
const spansOf = (month: { start: number; end: number }): SubscribedSpan[] =>
  shard.customerIds.map((customerId) => ({
    subscriptionId: customerId.replace('cus', 'sub'),
    customerId,
    customerExternalId: customerId,
    customerExternalIds: [customerId],
    currency: 'USD',
    span: month,
    billing: month,
    timeZone: 'UTC',
    interval: { unit: 'month', count: 1 },
    segment: 0,
    seats: [],
    planVersionId: 'old',
  }));

const rate = async (some: Partial<SimulatePorts> & { readonly plans?: readonly PlanOfSpan[] }) => {
  const saved: SimulatedSum[] = [];
  let givenUp: unknown;
  const { plans = [plan('old', '1'), plan('new', '2')], ...more } = some;
  const ports = {
    catalog: { priceSpans: async () => new Map(), ratingPolicy: async () => ({ rounding: 'half_up' }) },
    simulations: {
      leaseShard: async () => shard,
      saveShard: async (_: SimulationShard, sums: readonly SimulatedSum[]) => {
        saved.push(...sums);
      },
      giveUpShard: async (_: SimulationShard, error: unknown) => {
        givenUp = error;
      },
    },
    readQuantities: async () => new Map(),
    readMonth: async (_: SimulationShard, month: { start: number; end: number }) => ({
      spans: spansOf(month),
      plans,
      metersOf: async () => [],
    }),
    sum: async (task: PeriodsToSum) => chargeSums(task),
    workers: 2,
    ...more,
  } as unknown as SimulatePorts;
  await rateSimulationShard(ports).catch(() => undefined);
  return {
    givenUp,
    told: saved.map(({ customerId, baseline, amount, failure, failed }) => [
      customerId,
      baseline,
      amount,
      failure,
      failed?.cause ?? null,
      failed?.period.start ?? null,
    ]),
  };
};

const two = parseAmount('2');
const four = parseAmount('4');
const others = [
  ['cus_a', two, four, null, null, null],
  ['cus_c', two, four, null, null, null],
];

/** Whether the period is that of the second customer in the second month under the candidate. */
const isAtFault = (billingPeriodId: string): boolean => billingPeriodId === `1 sub_b ${months[1]} 0`;

describe('a billing period that can not be rated under a plan', () => {
  it('is a failure of its customer there, whatever is at fault, and all others are rated', async () => {
    const priceless = plan('new', '2');
    const unreadable: PlanOfSpan = (span) => {
      if (span.customerId === 'cus_b' && span.span.start === months[1]) throw new Error('unreadable');
      return priceless(span);
    };
    const ways: [string, Parameters<typeof rate>[0]][] = [
      ['catalog_unreadable', { plans: [plan('old', '1'), unreadable] }],
      [
        'catalog_unreadable',
        {
          catalog: {
            ratingPolicy: async () => ({ rounding: 'half_up' }),
            priceSpans: async (_, periods) => {
              if (periods.some(({ billingPeriodId }) => isAtFault(billingPeriodId))) throw new Error('unreadable');
              return new Map();
            },
          } as SimulatePorts['catalog'],
        },
      ],
      [
        'rating_error',
        {
          sum: async (task) =>
            chargeSums(task).map((sum, index) =>
              isAtFault(task.periods[index]?.billingPeriodId ?? '') ? { error: 'no price' } : sum,
            ),
        },
      ],
      [
        'worker_ended',
        {
          sum: async (task) => {
            if (task.periods.some(({ billingPeriodId }) => isAtFault(billingPeriodId)))
              throw new WorkerEndedError('died');
            return chargeSums(task);
          },
        },
      ],
    ];
    for (const [cause, way] of ways) {
      const { told, givenUp } = await rate(way);
      expect(givenUp).toBeUndefined();
      expect(told.toSorted()).toEqual(
        [...others, ['cus_b', two, null, 'candidate_not_rated', cause, months[1]]].toSorted(),
      );
    }
  });

  it('of which there are many because their worker ends with each is no fault of theirs', async () => {
    const error = new WorkerEndedError('died');
    const { told, givenUp } = await rate({
      workers: 1,
      sum: async () => {
        throw error;
      },
    });
    expect([told, givenUp]).toEqual([[], error]);
  });

  it('of the baseline leaves what the candidate comes to', async () => {
    const { told } = await rate({
      sum: async (task) =>
        chargeSums(task).map((sum, index) =>
          task.periods[index]?.billingPeriodId === `0 sub_b ${months[0]} 0` ? { error: 'no price' } : sum,
        ),
    });
    expect(told).toContainEqual(['cus_b', null, four, 'baseline_not_rated', 'rating_error', months[0]]);
  });
});

it('what is away fails no customer: the shard is tried again', async () => {
  const away = Object.assign(new Error('away'), { code: 'ECONNREFUSED' });
  const { told, givenUp } = await rate({
    readQuantities: async () => {
      throw away;
    },
  });
  expect([told, givenUp]).toEqual([[], away]);
});
