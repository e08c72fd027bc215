/**
 * The use case of what a migration would do: each subscription is judged by the very rules by which it would be moved,
 * over facts that are read for many at once; nothing is locked and nothing is changed.
 */
import type { Instant } from '#schemas/period.ts';
import {
  previewedSubscriptionsMax,
  type SkipReason,
  sampledSubscriptionsMax,
  skipReasons,
} from '#schemas/plan-migration.ts';
import type { PolicyRounding } from '#schemas/rated-line.ts';
import { hourOf, termsNow } from '#schemas/subscription-state.ts';
import type { CatalogStore } from '../catalog/catalog.postgres.ts';
import type { Db } from '../route/define-route.ts';
import { changedNow } from '../subscriptions/change-instant.ts';
import type { PlanChangePorts } from '../subscriptions/change-subscription-plan.ts';
import type { Subscription, SubscriptionStore } from '../subscriptions/subscriptions.postgres.ts';
import type { ReadMigration } from './ask-migration.ts';
import type { CandidateStore } from './candidates.postgres.ts';
import { type FullPeriod, fullPeriods } from './full-periods.ts';
import { decideMove, type MoveDecision } from './move-subscription.ts';
import { versionDifferences } from './version-differences.ts';

export type PreviewPorts = {
  readonly organizations: { readonly organization: (db: Db) => Promise<{ readonly rounding: PolicyRounding }> };
  readonly candidates: Pick<CandidateStore, 'countCandidates' | 'candidatesBehind' | 'cutsUntil' | 'withOtherToPlan'>;
  readonly subscriptions: Pick<SubscriptionStore, 'subscriptionsById'>;
  readonly catalog: Pick<CatalogStore, 'versionTerms'>;
};

type Judged = { readonly subscription: Subscription; readonly now: Instant; readonly move: MoveDecision };

/** So many are read and judged at once: other requests are answered in between. */
const pageSize = 100;

const addOnVersions = (subscriptions: readonly Subscription[]): string[] => [
  ...new Set(
    subscriptions.flatMap(({ changes }) =>
      changes.flatMap((one) => (one.kind === 'add_on' ? [one.planVersionId] : [])),
    ),
  ),
];

/** Twice: first to learn at which instant each would change, and then knowing who has the plan by then. */
const judge = async (
  ports: PreviewPorts,
  db: Db,
  asked: ReadMigration,
  ids: readonly string[],
  nowMs: Instant,
): Promise<Judged[]> => {
  const subscriptions = await ports.subscriptions.subscriptionsById(db, ids);
  const cuts = await ports.candidates.cutsUntil(db, ids);
  const addOnTerms = await ports.catalog.versionTerms(db, addOnVersions(subscriptions));
  const portsWith = (hasOther: (id: string, at: Instant) => boolean): PlanChangePorts => ({
    subscriptions: { hasOtherToPlan: async (_db, { id }, _plan, at) => hasOther(id, at) },
    subscriptionChanges: { cutUntil: async (_db, id) => cuts.get(id) },
    catalog: { lockPlan: async () => asked.to, versionTerms: async () => addOnTerms },
  });
  const decideAll = (decidePorts: PlanChangePorts): Promise<Judged[]> =>
    Promise.all(
      subscriptions.map(async (subscription) => {
        const now = changedNow(subscription, hourOf(subscription, nowMs));
        return { subscription, now, move: await decideMove(decidePorts, db, subscription, asked, now) };
      }),
    );
  const instants = new Map<string, Instant>();
  await decideAll(
    portsWith((id, at) => {
      instants.set(id, at);
      return false;
    }),
  );
  const moving = [...instants].map(([id, at]) => ({ id, at }));
  const others = await ports.candidates.withOtherToPlan(db, moving, asked.toPlanId);
  return decideAll(portsWith((id) => others.has(id)));
};

export type SampledSubscription = {
  readonly subscriptionId: string;
  readonly customerId: string;
  readonly currency: string;
  readonly seats: number;
  readonly fromVersion: number;
  readonly effectiveAt: Instant;
  readonly before: readonly FullPeriod[];
  readonly after: readonly FullPeriod[];
};

export type MigrationPreview = {
  readonly asked: ReadMigration;
  readonly total: number;
  readonly judged: number;
  readonly willMove: number;
  readonly skipped: readonly {
    readonly reason: SkipReason;
    readonly count: number;
    readonly examples: readonly string[];
  }[];
  readonly versions: readonly {
    readonly versionNumber: number;
    readonly planVersionId: string;
    readonly subscriptions: number;
    readonly differences: ReturnType<typeof versionDifferences>;
  }[];
  readonly samples: readonly SampledSubscription[];
};

const examplesMax = 5;

/** What was found of all that were judged so far. */
const createTally = (asked: ReadMigration, rounding: PolicyRounding) => {
  const skipped = new Map<SkipReason, { count: number; examples: string[] }>();
  const byVersion = new Map<string, number>();
  const samples: SampledSubscription[] = [];
  let judged = 0;
  let willMove = 0;
  const sample = ({ subscription, now }: Judged, effectiveAt: Instant): void => {
    const { planVersionId, seats } = termsNow(subscription, now);
    const held = asked.from.find(({ id }) => id === planVersionId);
    if (!held || samples.length >= sampledSubscriptionsMax) return;
    const periods = (id: string, terms: ReadMigration['to']['terms']) =>
      fullPeriods(subscription, { planVersionId: id, terms }, effectiveAt, { rounding });
    samples.push({
      subscriptionId: subscription.id,
      customerId: subscription.customerId,
      currency: subscription.currency,
      seats,
      fromVersion: held.versionNumber,
      effectiveAt,
      before: periods(held.id, held.terms),
      after: periods(asked.toVersionId, asked.to.terms),
    });
  };
  const add = (one: Judged): void => {
    judged += 1;
    const { planVersionId } = termsNow(one.subscription, one.now);
    byVersion.set(planVersionId, (byVersion.get(planVersionId) ?? 0) + 1);
    if (one.move.outcome !== 'skipped') {
      willMove += 1;
      sample(one, one.move.effectiveAt);
      return;
    }
    const known = skipped.get(one.move.reason) ?? { count: 0, examples: [] };
    known.count += 1;
    if (known.examples.length < examplesMax) known.examples.push(one.subscription.id);
    skipped.set(one.move.reason, known);
  };
  return {
    add,
    result: (total: number): MigrationPreview => ({
      asked,
      total,
      judged,
      willMove,
      skipped: skipReasons.flatMap((reason) => {
        const found = skipped.get(reason);
        return found ? [{ reason, ...found }] : [];
      }),
      versions: asked.from.map(({ id, versionNumber, terms }) => ({
        versionNumber,
        planVersionId: id,
        subscriptions: byVersion.get(id) ?? 0,
        differences: versionDifferences(terms, asked.to.terms),
      })),
      samples,
    }),
  };
};

export const previewMigration = async (
  ports: PreviewPorts,
  db: Db,
  asked: ReadMigration,
  nowMs: Instant,
): Promise<MigrationPreview> => {
  const { rounding } = await ports.organizations.organization(db);
  const total = await ports.candidates.countCandidates(db, asked);
  const tally = createTally(asked, rounding);
  let behind = '';
  for (let judged = 0; judged < previewedSubscriptionsMax; ) {
    const { ids, seenUntil } = await ports.candidates.candidatesBehind(db, asked, behind, pageSize);
    if (seenUntil === undefined) break;
    const found = await judge(ports, db, asked, ids.slice(0, previewedSubscriptionsMax - judged), nowMs);
    for (const one of found.toSorted((a, b) => (a.subscription.id < b.subscription.id ? -1 : 1))) tally.add(one);
    judged += found.length;
    behind = seenUntil;
  }
  return tally.result(total);
};
