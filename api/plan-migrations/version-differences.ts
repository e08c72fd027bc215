/** In what two versions of plans differ, by their structure: charges by their codes, terms, entitlements. Pure. */
import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import { termsToAnswer } from '#schemas/http/plan.ts';
import type { PlanTermsJson } from '#schemas/plan.ts';

type Named<T> = {
  readonly added: readonly T[];
  readonly removed: readonly T[];
  readonly changed: readonly Changed<T>[];
};
type Changed<T> = {
  readonly code: string;
  /** The names of the fields that differ. */
  readonly fields: readonly string[];
  readonly before: T;
  readonly after: T;
};

const fieldsThatDiffer = (before: object, after: object): string[] => {
  const [one, other] = [before as Record<string, unknown>, after as Record<string, unknown>];
  return [...new Set([...Object.keys(one), ...Object.keys(other)])]
    .filter((name) => !isDeepStrictEqual(one[name], other[name]))
    .toSorted();
};

const compare = <T extends object>(before: readonly T[], after: readonly T[], codeOf: (one: T) => string): Named<T> => {
  const [old, next] = [before, after].map((list) => new Map(list.map((one) => [codeOf(one), one])));
  assert(old && next);
  return {
    added: after.filter((one) => !old.has(codeOf(one))),
    removed: before.filter((one) => !next.has(codeOf(one))),
    changed: before.flatMap((one) => {
      const code = codeOf(one);
      const other = next.get(code);
      const fields = other ? fieldsThatDiffer(one, other) : [];
      return other && fields.length > 0 ? [{ code, fields, before: one, after: other }] : [];
    }),
  };
};

/** What stands over all charges, beside what is entitled to. */
const termNames = ['currency', 'minimum_term', 'minimum_commitment', 'spend_cap', 'proration', 'late_usage'] as const;

export const versionDifferences = (before: PlanTermsJson, after: PlanTermsJson) => {
  const [old, next] = [termsToAnswer(before), termsToAnswer(after)];
  return {
    charges: compare(old.charges, next.charges, ({ code }) => code),
    entitlements: compare(before.entitlements, after.entitlements, ({ feature }) => feature),
    terms: termNames.flatMap((term) =>
      isDeepStrictEqual(old[term], next[term]) ? [] : [{ term, before: old[term], after: next[term] }],
    ),
  };
};
