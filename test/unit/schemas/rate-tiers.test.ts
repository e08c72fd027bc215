import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { organizationTiers, quotaWarningPercent, rateClasses, rateTiers } from '#schemas/rate-tiers.ts';

const read = (path: string): string => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');
const limits = organizationTiers.flatMap((tier) =>
  rateClasses.map((rateClass) => ({ tier, rateClass, ...rateTiers[tier][rateClass] })),
);

describe('the table of rate limits', () => {
  it('has every tier that an organization can have, and every class in each', () => {
    const check =
      /tier text NOT NULL .* CHECK \(tier IN \(([^)]+)\)\)/.exec(read('schemas/postgres/0002_platform.sql'))?.[1] ?? '';
    expect(check.replaceAll("'", '').split(', ')).toEqual([...organizationTiers]);
    expect(Object.keys(rateTiers)).toEqual([...organizationTiers]);
    for (const tier of organizationTiers) expect(Object.keys(rateTiers[tier])).toEqual([...rateClasses]);
  });

  it.each(limits)(
    '$tier $rateClass: whole numbers, a burst of a second or more, a quota between an hour and a day of the rate',
    (limit) => {
      const { perSecond, burst, dailyQuota } = limit;
      for (const number of [perSecond, burst, dailyQuota])
        expect(Number.isSafeInteger(number) && number > 0).toBe(true);
      expect(burst).toBeGreaterThanOrEqual(perSecond);
      expect(dailyQuota).toBeGreaterThan(perSecond * 3_600);
      expect(dailyQuota).toBeLessThan(perSecond * 86_400);
      expect(dailyQuota).toBeGreaterThan(burst);
    },
  );

  it.each(limits)(
    '$tier $rateClass: a full bucket is refilled long before its key in Redis ends, and stays exact as a double',
    (limit) => {
      expect(limit.burst / limit.perSecond).toBeLessThan(60);
      expect(Number.isSafeInteger(limit.burst * 1_000_000)).toBe(true);
    },
  );

  it('a higher tier has more of everything, and what is more sensitive has less', () => {
    for (const rateClass of rateClasses) {
      for (const field of ['perSecond', 'burst', 'dailyQuota'] as const) {
        const numbers = organizationTiers.map((tier) => rateTiers[tier][rateClass][field]);
        expect(numbers, `${rateClass} ${field}`).toEqual([...new Set(numbers)].toSorted((a, b) => a - b));
      }
    }
    for (const tier of organizationTiers) {
      const { read, write, sensitive } = rateTiers[tier];
      for (const field of ['perSecond', 'burst', 'dailyQuota'] as const) {
        expect(read[field]).toBeGreaterThan(write[field]);
        expect(write[field]).toBeGreaterThan(sensitive[field]);
      }
    }
  });

  it('is the one of docs/rate-limits.md', () => {
    const document = read('docs/rate-limits.md');
    const rows = [...document.matchAll(/^\| (\w+) +\| (\w+) +\| ([\d,]+) +\| ([\d,]+) +\| ([\d,]+) +\|$/gm)];
    const number = (text = '') => Number(text.replaceAll(',', ''));
    expect(
      rows.map(([, tier, rateClass, perSecond, burst, dailyQuota]) => ({
        tier,
        rateClass,
        perSecond: number(perSecond),
        burst: number(burst),
        dailyQuota: number(dailyQuota),
      })),
    ).toEqual(limits);
    expect(document).toContain(`From ${quotaWarningPercent} % of the day's quota on`);
  });
});
