/** Which subscriptions a migration is about, and what is known of many of them at once. */
import type { Instant } from '#schemas/period.ts';
import type { Db } from '../route/define-route.ts';
import { cutUntilColumn } from '../subscriptions/subscription-changes.postgres.ts';
import { atItsHour, heldVersion } from '../subscriptions/subscription-filters.ts';
import { toPlanAt } from '../subscriptions/subscriptions.postgres.ts';

/** Whose, of which versions, in which currency. */
export type Candidates = {
  readonly fromVersionIds: readonly string[];
  /** Null is everyone's. */
  readonly customerIds: readonly string[] | null;
  /** Null is any. */
  readonly currency: string | null;
};

/**
 * Ids behind `$4` of subscriptions that began with one of the versions `$2` or have a change to one, or of all of the
 * customers `$3`: some of them may have it no more. `limit` bounds each of the sources, of which each is in order.
 */
const idsBehind = (limit: string): string => `(
    SELECT s.id FROM unnest($2::text[]) AS v (id) CROSS JOIN LATERAL (
      (SELECT b.id FROM subscriptions b
       WHERE b.organization_id = $1 AND b.plan_version_id = v.id AND b.id > $4 ORDER BY b.id ${limit})
      UNION ALL
      (SELECT g.subscription_id FROM subscription_changes g
       WHERE g.organization_id = $1 AND g.plan_version_id = v.id AND g.kind = 'plan' AND g.undone_at IS NULL
         AND g.subscription_id > $4 ORDER BY g.subscription_id ${limit})
    ) s WHERE $3::text[] IS NULL
    UNION
    SELECT c.id FROM (
      SELECT b.id FROM subscriptions b
      WHERE $3::text[] IS NOT NULL AND b.organization_id = $1 AND b.customer_id = ANY ($3) AND b.id > $4
      ORDER BY b.id ${limit}
    ) c
  )`;

/** Of `s`: it is not over, has one of the versions `$2` or comes to one, and is in the currency `$5`, if any. */
const isCandidate = `(($5::text IS NULL OR s.currency = $5) AND ${atItsHour(
  (hour) => `((s.ended_at IS NULL OR s.ended_at > ${hour}) AND (${heldVersion(hour)} = ANY ($2)
    OR (s.has_changes AND EXISTS (SELECT 1 FROM subscription_changes a WHERE a.subscription_id = s.id
      AND a.undone_at IS NULL AND a.kind = 'plan' AND a.plan_version_id = ANY ($2) AND a.effective_at > ${hour}))))`,
)})`;

const valuesOf = (db: Db, { fromVersionIds, customerIds, currency }: Candidates, behind: string): unknown[] => [
  db.organizationId,
  fromVersionIds,
  customerIds,
  behind,
  currency,
];

export type CandidatePage = {
  /** In the order of their ids. */
  readonly ids: readonly string[];
  /** All up to here were looked at; undefined where there is nothing behind. */
  readonly seenUntil: string | undefined;
};

export const candidateStore = {
  countCandidates: async (db: Db, candidates: Candidates): Promise<number> => {
    const { rows } = await db.query<{ total: number }>(
      `SELECT count(*)::integer AS total FROM subscriptions s WHERE s.id IN ${idsBehind('')} AND ${isCandidate}`,
      valuesOf(db, candidates, ''),
    );
    return rows[0]?.total ?? 0;
  },
  /** Those behind a subscription that have no outcome in a migration, out of the next `size` that may be some. */
  candidatesBehind: async (
    db: Db,
    candidates: Candidates,
    behind: string,
    size: number,
    migrationId: string | null = null,
  ): Promise<CandidatePage> => {
    const { rows } = await db.query<{ id: string; is_candidate: boolean }>(
      `WITH page AS (SELECT i.id FROM ${idsBehind('LIMIT $6')} i ORDER BY i.id LIMIT $6)
       SELECT s.id, ${isCandidate} AND NOT EXISTS (SELECT 1 FROM plan_migration_outcomes o
         WHERE o.migration_id = $7 AND o.subscription_id = s.id) AS is_candidate
       FROM page JOIN subscriptions s ON s.id = page.id ORDER BY s.id`,
      [...valuesOf(db, candidates, behind), size, migrationId],
    );
    return { ids: rows.filter((row) => row.is_candidate).map(({ id }) => id), seenUntil: rows.at(-1)?.id };
  },
  /** All that came meanwhile and stand before those that were looked at. */
  candidatesMissed: async (db: Db, candidates: Candidates, size: number, migrationId: string): Promise<string[]> => {
    const { rows } = await db.query<{ id: string }>(
      `SELECT s.id FROM subscriptions s WHERE s.id IN ${idsBehind('')} AND ${isCandidate}
         AND NOT EXISTS (SELECT 1 FROM plan_migration_outcomes o WHERE o.migration_id = $7 AND o.subscription_id = s.id)
       ORDER BY s.id LIMIT $6`,
      [...valuesOf(db, candidates, ''), size, migrationId],
    );
    return rows.map(({ id }) => id);
  },
  /** By subscription, as `cutUntil` says it of one. */
  cutsUntil: async (db: Db, ids: readonly string[]): Promise<ReadonlyMap<string, Instant>> => {
    const { rows } = await db.query<{ id: string; cut_until: Date | null }>(
      `SELECT s.id, ${cutUntilColumn} FROM subscriptions s WHERE s.organization_id = $1 AND s.id = ANY ($2)`,
      [db.organizationId, ids],
    );
    return new Map(rows.flatMap(({ id, cut_until: cut }) => (cut ? [[id, cut.getTime()] as const] : [])));
  },
  /** Of these, those whose customer has another subscription that has the plan at an instant or behind it. */
  withOtherToPlan: async (
    db: Db,
    asked: readonly { readonly id: string; readonly at: Instant }[],
    planId: string,
  ): Promise<ReadonlySet<string>> => {
    const { rows } = await db.query<{ id: string }>(
      `SELECT a.id FROM unnest($2::text[], $3::timestamptz[]) AS a (id, at) JOIN subscriptions w ON w.id = a.id
       WHERE w.organization_id = $1 AND EXISTS (${toPlanAt('w.customer_id', '$4', 'a.at')} AND s.id <> w.id)`,
      [db.organizationId, asked.map(({ id }) => id), asked.map(({ at }) => new Date(at)), planId],
    );
    return new Set(rows.map(({ id }) => id));
  },
};

export type CandidateStore = typeof candidateStore;
