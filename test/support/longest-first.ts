/**
 * The order of the files of a run. Those that take long begin first, so that none of them is alone at the end; a fresh
 * checkout knows of no times from an earlier run, and the runner would go by the sizes of files, which say little.
 */
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Longest first, of those that take more than half a minute on two cores. */
const longest = [
  'sim/billing/billing',
  'integration/minimum-amounts.kills',
  'integration/platform/routes',
  'integration/platform/stored-digests',
  'integration/platform/verify',
  'integration/kills',
  'integration/random-organizations',
  'integration/older-database',
  'integration/faults',
  'integration/local/start',
  'integration/late-usage',
  'integration/metering/differential',
  'integration/plan-migrations',
  'integration/stories/late-usage',
  'integration/workers',
  'integration/stories/parents',
  'integration/stories/taxes',
  'integration/stories/drafts',
  'integration/stories/once',
  'integration/stories/changes',
  'integration/billing',
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
