/**
 * The order of the files of a run. Those that take long begin first, so that none of them is alone at the end; a fresh
 * checkout knows of no times from an earlier run, and the runner would go by the sizes of files, which say little.
 */
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Longest first, of those that take more than half a minute on two cores. */
const longest = [
  'platform/routes',
  'platform/stored-digests',
  'platform/verify',
  'kills',
  'minimum-amounts.kills',
  'random-organizations',
  'faults',
  'local/start',
  'late-usage',
  'plan-migrations',
  'stories/parents',
  'stories/taxes',
  'stories/drafts',
  'stories/late-usage',
  'stories/once',
  'stories/changes',
  'billing',
];

const placeOf = ({ moduleId }: TestSpecification): number => {
  const place = longest.findIndex((name) => moduleId.endsWith(`/integration/${name}.test.ts`));
  return place === -1 ? longest.length : place;
};

export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    return sorted.toSorted((a, b) => placeOf(a) - placeOf(b));
  }
}
