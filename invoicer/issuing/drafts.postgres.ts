/** Drafts of invoices as rows: what a shard finalizes, what it makes, and what becomes of them in its transaction. */
import assert from 'node:assert/strict';
import type { Queryable } from '#platform/stores/postgres.ts';
import type { Shard } from '#schemas/billing-run.ts';
import { discountToJson, taxToJson } from '#schemas/invoice/content-parts.ts';
import { type DraftOverrides, withOverrides } from '#schemas/invoice/draft-overrides.ts';
import { type ItemJson, itemFromJson } from '#schemas/invoice/one-off.ts';
import { formatAmount } from '#schemas/money.ts';
import type { Instant } from '#schemas/period.ts';
import type { RatedLine } from '#schemas/rated-line.ts';
import { type CarriedRow, carriedColumns, withCarried } from '../invoices/carried-rows.ts';
import { computedPeriodsMax } from '../invoices/draft-invoice.ts';
import {
  type GroupRow,
  groupFromRow,
  groupPeriodColumns,
  lineFromRow,
  payerColumns,
  payerTables,
  type RatedRow,
} from '../invoices/invoice-groups.ts';
import { periodOrder } from '../invoices/invoice-rows.ts';
import { entitiesOf } from '../invoices/issuing-entities.postgres.ts';
import type { InvoiceGroup, MadeDraft } from './close-period.ts';

// Without the billing periods that the run could not rate. A draft that another shard of the run has periods of, as one
// that was cut in two, is left to whichever is rated last.
const draftsStatement = `
SELECT d.id, d.customer_id AS payer_id, d.currency, d.overrides, d.lines, ${payerColumns}, (
    SELECT ${carriedColumns} FROM billing_periods p WHERE p.draft_id = d.id AND p.state = 'open'
  ), (
    SELECT coalesce(json_agg(${groupPeriodColumns} ORDER BY ${periodOrder}), '[]')
    FROM billing_periods p WHERE p.draft_id = d.id AND p.state = 'open' AND NOT EXISTS (
      SELECT 1 FROM rating_failures f WHERE f.run_id = $2 AND f.billing_period_id = p.id)
  ) AS periods
FROM unnest($1::text[]) WITH ORDINALITY AS n (id, place) JOIN invoice_drafts d ON d.id = n.id
  JOIN ${payerTables} ON c.id = d.customer_id
WHERE NOT EXISTS (SELECT 1 FROM billing_run_shards s
  WHERE s.run_id = $2 AND s.shard_number <> $3 AND s.state = 'queued' AND d.id = ANY (s.draft_ids))
ORDER BY n.place`;

type DraftRow = GroupRow &
  Pick<CarriedRow, 'carried'> & { id: string; overrides: DraftOverrides; lines: ItemJson[] | null };

/** What the shard finalizes, in the order in which the invoices are numbered. */
export const draftsOfShard = async (client: Queryable, shard: Shard): Promise<readonly InvoiceGroup[]> => {
  const { rows } = await client.query<DraftRow>(draftsStatement, [shard.draftIds, shard.runId, shard.shardNumber]);
  const entities = await entitiesOf(client, rows);
  return rows.map((row) => {
    const group = withCarried(groupFromRow(row, entities), row);
    const { id, overrides } = row;
    const terms = withOverrides(group.parties.terms, overrides);
    const draft = { id, items: (row.lines ?? []).map(itemFromJson), discountIds: overrides.discounts ?? [] };
    return { ...group, parties: { ...group.parties, terms }, draft };
  });
};

/** Those of them that are still to be finalized by this run, locked. */
export const lockDrafts = async (client: Queryable, { draftIds, runId }: Shard): Promise<ReadonlySet<string>> => {
  if (draftIds.length === 0) return new Set();
  const { rows } = await client.query<{ id: string }>(
    `SELECT id FROM invoice_drafts WHERE id = ANY ($1) AND state = 'draft' AND run_id = $2 ORDER BY id FOR UPDATE`,
    [draftIds, runId],
  );
  return new Set(rows.map(({ id }) => id));
};

/** What was rated of a shard that makes drafts. */
export const draftLines = async (client: Queryable, shard: Shard): Promise<readonly RatedLine[]> => {
  const { rows } = await client.query<RatedRow>(
    `SELECT l.line, p.id, p.span_start, p.span_end
     FROM billing_run_shards s CROSS JOIN json_to_recordset(s.draft_lines) AS l (billing_period_id text, line json)
       JOIN billing_periods p ON p.id = l.billing_period_id
     WHERE s.run_id = $1 AND s.shard_number = $2`,
    [shard.runId, shard.shardNumber],
  );
  return rows.map(lineFromRow);
};

const insertStatement = `
INSERT INTO invoice_drafts (id, organization_id, kind, state, customer_id, currency, finalize_at, overrides,
  line_count, subtotal, taxes, discounts, computed_at, watermark, test_clock_id, metadata, version, created_at,
  updated_at)
SELECT n.id, $1, 'period', 'draft', n.customer_id, n.currency, n.finalize_at, '{}', n.line_count, n.subtotal, n.taxes,
  n.discounts, $2, $9, c.test_clock_id, '{}', 1, $2, $2
FROM unnest($3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::integer[], $8::numeric[], $10::json[],
    $11::json[])
  AS n (id, customer_id, currency, finalize_at, line_count, subtotal, taxes, discounts)
  JOIN customers c ON c.id = n.customer_id`;

// A period that is in a draft already, or billed, ends the transaction.
const takePeriods = `
UPDATE billing_periods p SET draft_id = n.draft_id FROM unnest($1::text[], $2::text[]) AS n (id, draft_id)
WHERE p.id = n.id AND p.state = 'open' AND p.draft_id IS NULL`;

const keepLines = `
UPDATE invoice_drafts d SET computed_lines = (
    SELECT json_agg(l) FROM billing_run_shards s CROSS JOIN json_array_elements(s.draft_lines) AS l
      JOIN billing_periods p ON p.id = l ->> 'billing_period_id'
    WHERE s.run_id = $2 AND s.shard_number = $3 AND p.draft_id = d.id)
WHERE d.id = ANY ($1)`;

export const insertDrafts = async (
  client: Queryable,
  shard: Shard,
  drafts: readonly MadeDraft[],
  now: Instant,
): Promise<void> => {
  if (drafts.length === 0) return;
  const { organizationId, watermark } = shard;
  await client.query(insertStatement, [
    organizationId,
    new Date(now),
    drafts.map(({ id }) => id),
    drafts.map(({ draft }) => draft.customerId),
    drafts.map(({ draft }) => draft.currency),
    drafts.map(({ finalizeAt }) => new Date(finalizeAt)),
    drafts.map(({ draft }) => draft.lines.length),
    drafts.map(({ draft }) => formatAmount(draft.subtotal)),
    watermark,
    drafts.map(({ draft: { taxes, currency } }) => JSON.stringify(taxes.map((tax) => taxToJson(tax, currency)))),
    drafts.map(({ draft: { discounts, currency } }) =>
      JSON.stringify(discounts.map((discount) => discountToJson(discount, currency))),
    ),
  ]);
  const periods = drafts.flatMap(({ id, draft }) =>
    draft.periods.map(({ billingPeriodId }) => ({ id, billingPeriodId })),
  );
  const { rowCount } = await client.query(takePeriods, [
    periods.map(({ billingPeriodId }) => billingPeriodId),
    periods.map(({ id }) => id),
  ]);
  assert.equal(rowCount, periods.length, 'a billing period is in a draft already, or billed');
  const large = drafts.filter(({ draft }) => draft.periods.length > computedPeriodsMax).map(({ id }) => id);
  if (large.length > 0) await client.query(keepLines, [large, shard.runId, shard.shardNumber]);
};

const changed = 'version = version + 1, updated_at = $2::timestamptz';

/** Until a draft is tried again of which no billing period could be rated: 1, 4 and 16 hours, then a day each time. */
const pause = "least(interval '1 hour' * 4 ^ least(postponed, 9), interval '1 day')";

/**
 * Of drafts whose invoices are written: what of their periods could not be rated is let go, and is billed by a later
 * run. Of others, of which nothing could be rated, that they are tried again later; resolves with these.
 */
export const settleDrafts = async (
  client: Queryable,
  { issued, unrated }: { readonly issued: readonly string[]; readonly unrated: readonly string[] },
  now: Instant,
): Promise<readonly string[]> => {
  if (issued.length > 0) {
    await client.query(`UPDATE invoice_drafts SET state = 'issued', ${changed} WHERE id = ANY ($1)`, [
      issued,
      new Date(now),
    ]);
    await client.query(`UPDATE billing_periods SET draft_id = NULL WHERE draft_id = ANY ($1) AND state = 'open'`, [
      issued,
    ]);
  }
  if (unrated.length === 0) return [];
  const { rows } = await client.query<{ id: string }>(
    `UPDATE invoice_drafts SET finalize_at = $2::timestamptz + ${pause}, postponed = postponed + 1, ${changed}
     WHERE id = ANY ($1) AND finalize_at < $2::timestamptz + ${pause} RETURNING id`,
    [unrated, new Date(now)],
  );
  return rows.map(({ id }) => id);
};
