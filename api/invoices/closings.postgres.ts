/** What is due in the organization of the caller, and not billed. */
import type { Instant } from '#schemas/period.ts';
import type { Standing } from '../../invoicer/periods/next-close.ts';
import {
  livesByTheHour,
  type StandingRow,
  selectStanding,
  standingFromRow,
} from '../../invoicer/periods/standing-rows.ts';
import type { Db } from '../route/define-route.ts';

export type DueNow = {
  readonly standing: Standing;
  /** How many are due, counted up to `dueCountMax`. */
  readonly subscriptions: number;
  readonly billingPeriods: number;
};

/** Whoever has more of them learns nothing from the number. */
const dueCountMax = 10_000;

const countDue = `
SELECT (SELECT count(*) FROM (SELECT 1 FROM subscriptions s
    WHERE s.organization_id = $1 AND s.next_due_at <= $2 LIMIT ${dueCountMax}) d)::integer AS subscriptions,
  (SELECT count(*) FROM (SELECT 1 FROM billing_periods p
    WHERE p.organization_id = $1 AND p.state = 'open' AND p.draft_id IS NULL AND p.carried_at IS NULL
      AND p.due_at <= $2
      AND ${livesByTheHour} LIMIT ${dueCountMax}) d)::integer AS periods`;

export const closingReader = {
  due: async (db: Db, now: Instant): Promise<DueNow> => {
    const { rows } = await db.query<StandingRow>(selectStanding, [db.organizationId]);
    const counted = await db.query<{ subscriptions: number; periods: number }>(countDue, [
      db.organizationId,
      new Date(now),
    ]);
    const { subscriptions = 0, periods = 0 } = counted.rows[0] ?? {};
    return { standing: standingFromRow(rows[0] as StandingRow), subscriptions, billingPeriods: periods };
  },
};

export type ClosingReader = typeof closingReader;
