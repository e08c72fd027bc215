import { describe, expect, it } from 'vitest';
import { noFates } from '../../../../api/events/billed-usage.ts';
import { countFates, customersMax, type FatePorts } from '../../../../api/reconciliation/count-fates.ts';
import type { Db } from '../../../../api/route/define-route.ts';
import { plainTerms } from '../../../support/plain-terms.ts';

const db = { organizationId: 'org_1' } as Db;
const hour = Date.UTC(2026, 10, 21, 9);
const hours = { from: new Date(hour), to: new Date(hour + 3_600_000) };

/** So many customers, each with one event that is late; every third one has a subscription. */
const setUp = (customers: number, some: Partial<FatePorts> = {}) => {
  const asked = { limits: [] as number[], reads: [] as number[], plans: [] as string[], statements: 0 };
  const names = Array.from({ length: customers }, (_, index) => `cus_${index}`);
  const ports: FatePorts = {
    billedUsage: {
      knownNames: async (_, some) => {
        asked.reads.push(some.length);
        return new Set(some);
      },
      subscriptionsOf: async (_, some) =>
        some
          .filter((_, index) => index % 3 === 0)
          .map((name, index) => ({
            ...plainTerms({ planVersionId: `plv_${index % 2}` }),
            names: [name],
            currency: 'USD',
            periods: [],
          })),
      chargedMeters: async (_, plan) => {
        asked.plans.push(plan);
        return [];
      },
    },
    storedUsage: {
      customerNames: async (_tenant, _hours, _watermark, limit) => {
        asked.limits.push(limit);
        return names.slice(0, limit);
      },
      fates: async ({ params }) => {
        asked.statements += 1;
        return [{ hour: hour / 1_000, fate: 'late', events: (params.customers as string[]).length }];
      },
    },
    isCallerThere: () => true,
    ...some,
  };
  return { asked, ports };
};

describe('[I11] the fates of many customers', () => {
  it('are counted a bounded number at a time, each once, and the meters of a plan version are read once', async () => {
    const { asked, ports } = setUp(12_000);
    expect(await countFates(ports, db, hours, 9n)).toEqual(new Map([[hour, { ...noFates, late: 12_000 }]]));
    expect(asked.reads).toEqual([5_000, 5_000, 2_000]);
    expect(asked.plans.toSorted()).toEqual(['plv_0', 'plv_1']);
    expect(asked.statements).toBeGreaterThanOrEqual(3);
  });

  it('of more customers than the limit are not counted, and no more than these are asked for', async () => {
    const { asked, ports } = setUp(customersMax + 5);
    expect(await countFates(ports, db, hours, 9n)).toBeUndefined();
    expect(asked).toEqual({ limits: [customersMax + 1], reads: [], plans: [], statements: 0 });
  });

  it('are counted no further once the caller has hung up', async () => {
    let looks = 0;
    const { asked, ports } = setUp(12_000, { isCallerThere: () => looks++ === 0 });
    await countFates(ports, db, hours, 9n);
    expect(asked.reads).toEqual([5_000]);
  });
});
