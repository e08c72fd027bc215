/**
 * The order of the files of a run. Those that take long begin first, so that none of them is alone at the end; a fresh
 * checkout knows of no times from an earlier run, and the runner would go by the sizes of files, which say little.
 */
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Longest first, of those that take more than half a minute on two cores. */
const longest = [
  'sim/billing/billing',
  'integration/metering/totals',
  'integration/random-organizations',
  'integration/older-database',
  'integration/platform/routes',
  'integration/local/start',
  'integration/stories/credit-notes',
  'integration/stories/late-usage',
  'integration/stories/credited-deltas',
  'integration/conservation',
  'integration/platform/stored-digests',
  'integration/platform/verify',
  'integration/platform/isolation',
  'integration/hot-statements',
  'integration/stories/hand-credits',
  'integration/demo',
  'integration/kills',
  'integration/faults',
  'integration/tax-engine',
  'integration/minimum-amounts.kills',
  'integration/metering/differential',
  'integration/plan-migrations',
  'integration/local/stack',
  'integration/local/servers',
  'integration/migrations',
  'integration/documents/pdf',
  'integration/stories/amounts-ahead',
  'integration/explain/explain',
  'integration/dead-letters',
  'integration/workers',
  'unit/fuzz/fuzz-parsers',
  'unit/schemas/http/plan',
  'unit/rater/run/pool.piscina',
  'contract/claims.growth',
  'contract/claims.redis',
];

const placeOf = ({ moduleId }: TestSpecification): number => {
  const place = longest.findIndex((name) => moduleId.endsWith(`/test/${name}.test.ts`));
  return place === -1 ? longest.length : place;
};

export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    return sorted.toSorted((a, b) => placeOf(a) - placeOf(b));
  }
}
