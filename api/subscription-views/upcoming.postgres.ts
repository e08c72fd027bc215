/** What it takes to rate what of subscriptions lies ahead: rows of PostgreSQL, as the rater reads them. */

import {
  type BilledPartRow,
  billedPartColumns,
  billedPartFromRow,
  writtenParts,
} from '#platform/stores/billed-parts.postgres.ts';
import { externalIdsOf } from '#platform/stores/customer-names.ts';
import { oneTimeChargesColumn } from '#platform/stores/subscription-terms.postgres.ts';
import { isId } from '#schemas/ids.ts';
import type { Instant } from '#schemas/period.ts';
import { meterOf } from '#schemas/stored-meter.ts';
import type { OneTimeCharge } from '#schemas/subscription-terms.ts';
import { type BookRow, madeUntil, type RateRow, sourceRowsFrom } from '../../rater/price/source-rows.ts';
import type { OneTimeRow, VersionRow } from '../../rater/run/billable-periods.ts';
import type { PinnedMeter } from '../../rater/run/measures.ts';
import { type OverrideRow, overrideFromRow, standingStatement } from '../../rater/run/override-rows.ts';
import type { AskedPrices, ReadPrices } from '../../rater/run/price-spans.ts';
import { booksStatement, oneTimeStatement, ratesStatement } from '../../rater/run/source-statements.ts';
import type { Db } from '../route/define-route.ts';
import { type CutTime, cutAfter, type WaitingPart } from './upcoming-parts.ts';

type PinnedRow = {
  plan_version_id: string;
  code: string;
  version_number: number;
  meter_version_id: string;
  definition: unknown;
};

type CutRow = { id: string; cut_until: Date | null; external_ids: string[]; one_time_charges: OneTimeCharge[] | null };

export type CutSubscription = CutTime & {
  readonly externalIds: readonly string[];
  /** What its one-time charges are charged by. */
  /** By id. */
  readonly oneTimeRows: ReadonlyMap<string, OneTimeRow>;
};

/** Of billing periods `p` that are written down and not billed; beside them comes `since`. */
export const waitingColumns = `p.subscription_id, ${billedPartColumns}, p.usage_waived, p.payer_id, p.consolidated`;

// Deltas that wait are in no view of what lies ahead.
const waitingStatement = `SELECT p.* FROM unnest($2::text[]) AS n (id) CROSS JOIN LATERAL (
    SELECT ${waitingColumns}, p.carried_from AS since
    FROM billing_periods p
    WHERE p.subscription_id = n.id AND p.organization_id = $1 AND p.carried_at IS NOT NULL AND p.timing <> 'delta'
    OFFSET 0
  ) p`;
export type WaitingRow = BilledPartRow & {
  usage_waived: boolean;
  since: Date;
  payer_id: string;
  consolidated: boolean;
};

export const waitingFromRow = (row: WaitingRow): WaitingPart & { readonly subscriptionId: string } => ({
  subscriptionId: row.subscription_id,
  written: { ...billedPartFromRow(row), ...(row.usage_waived && { usageWaived: true }) },
  since: row.since.getTime(),
  payer: { id: row.payer_id, isConsolidated: row.consolidated },
});

const oneTimeRowsOf = async (db: Db, ids: readonly string[]): Promise<ReadonlyMap<string, OneTimeRow>> => {
  const rows = ids.length > 0 ? (await db.query<OneTimeRow>(oneTimeStatement, [db.organizationId, ids])).rows : [];
  return new Map(rows.map((row) => [row.id, row]));
};

const pricesOf = async (db: Db, { planIds, customerIds, time, namesIn }: AskedPrices): Promise<ReadPrices> => {
  const until = madeUntil(undefined);
  const between = [new Date(time.start), new Date(time.end)];
  const overrides = (
    await db.query<OverrideRow>(standingStatement, [db.organizationId, planIds, customerIds, ...between, until])
  ).rows.map(overrideFromRow);
  const { books, units } = namesIn(overrides);
  const bookRows =
    books.length > 0
      ? (await db.query<BookRow>(booksStatement, [db.organizationId, books, ...between, until])).rows
      : [];
  const rateRows =
    units.length > 0 ? (await db.query<RateRow>(ratesStatement, [db.organizationId, units, until])).rows : [];
  return { overrides, rows: sourceRowsFrom(bookRows, rateRows) };
};

export const upcomingReader = {
  /** By the ids of subscriptions, with when each began. */
  cutTimes: async (
    db: Db,
    subscriptions: readonly { readonly id: string; readonly startedAt: Instant }[],
  ): Promise<ReadonlyMap<string, CutSubscription>> => {
    const { rows } = await db.query<CutRow>(
      `SELECT s.id, s.cut_until, ${externalIdsOf('c')} AS external_ids, ${oneTimeChargesColumn}
       FROM subscriptions s JOIN customers c ON c.id = s.customer_id
       WHERE s.organization_id = $1 AND s.id = ANY ($2)`,
      [db.organizationId, subscriptions.map(({ id }) => id)],
    );
    const cutOf = new Map(rows.map((row) => [row.id, row]));
    const after = subscriptions.map((one) => ({
      id: one.id,
      after: cutAfter(one, cutOf.get(one.id)?.cut_until?.getTime() ?? null),
    }));
    const written = await writtenParts(db, db.organizationId, after);
    const charged = rows.flatMap((row) => row.one_time_charges ?? []).map(({ id }) => id);
    const rowsById = await oneTimeRowsOf(db, charged);
    return new Map(
      rows.map((row) => [
        row.id,
        {
          cutUntil: row.cut_until?.getTime() ?? null,
          written: written.get(row.id) ?? [],
          oneTimeCharges: row.one_time_charges ?? [],
          oneTimeRows: rowsById,
          externalIds: row.external_ids,
        },
      ]),
    );
  },
  /** What one-time charges are charged by, by their ids. */
  oneTimeRows: oneTimeRowsOf,
  /** By subscription: what was carried over, and waits. */
  waiting: async (
    db: Db,
    subscriptionIds: readonly string[],
  ): Promise<{
    readonly parts: ReadonlyMap<string, readonly WaitingPart[]>;
    readonly oneTimeRows: ReadonlyMap<string, OneTimeRow>;
  }> => {
    const { rows } = await db.query<WaitingRow>(waitingStatement, [db.organizationId, subscriptionIds]);
    const parts = rows.map(waitingFromRow);
    const charged = rows.flatMap(({ item }) => (isId('otc', item) ? [item] : []));
    return {
      parts: Map.groupBy(parts, ({ subscriptionId }) => subscriptionId),
      oneTimeRows: await oneTimeRowsOf(db, charged),
    };
  },
  versions: async (db: Db, ids: readonly string[]): Promise<readonly VersionRow[]> =>
    (
      await db.query<VersionRow>(
        `SELECT v.id, v.plan_id, v.currency AS plan_currency, v.charges, v.terms FROM plan_versions v
         WHERE v.organization_id = $1 AND v.id = ANY ($2)`,
        [db.organizationId, ids],
      )
    ).rows,
  /** What those plan versions charge by. */
  meters: async (db: Db, planVersionIds: readonly string[]): Promise<readonly PinnedMeter[]> => {
    const { rows } = await db.query<PinnedRow>(
      `SELECT p.plan_version_id, p.meter_code AS code, v.version_number, v.id AS meter_version_id, v.definition
       FROM plan_version_meters p JOIN meter_versions v ON v.id = p.meter_version_id
       WHERE p.organization_id = $1 AND p.plan_version_id = ANY ($2) ORDER BY p.meter_code, v.version_number`,
      [db.organizationId, planVersionIds],
    );
    return rows.map(({ plan_version_id, code, version_number, meter_version_id, definition }) => ({
      planVersionId: plan_version_id,
      meter: meterOf({ code, versionNumber: version_number, versionId: meter_version_id, definition }),
    }));
  },
  prices: pricesOf,
};

export type UpcomingReader = typeof upcomingReader;
