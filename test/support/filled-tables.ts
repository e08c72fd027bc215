/** Tables as they are after years: tens of thousands of rows in each, a tenth of them of one organization. */
import type { Postgres } from '#platform/stores/postgres.ts';

/** A table of as many rows or more is large. */
export const rowsMin = 5_000;

/** Rows of these come with a stream, a release or a loss, and not with what customers do. */
export const smallTables: readonly string[] = ['identity_checks', 'stream_losses', 'schema_migrations'];

/** `n` runs over the rows; `org` is the organization of a row, `$1` the one that has a tenth. */
const rows = 30_000;
const from = `FROM (SELECT n, CASE WHEN n % 10 = 0 THEN $1 ELSE 'org_fill_' || (n % 8000) END AS org
    FROM generate_series(1, ${rows}) AS n) AS f`;
/** Every organization but the first has a row of its own here. */
const fromOrganizations =
  "FROM (SELECT n, 'org_fill_' || n AS org, $1::text AS own FROM generate_series(0, 7999) AS n) AS f";
/** The catalogue of the one organization is left as it is, since usage is asked for by each of its meters. */
const fromOthers = `FROM (SELECT n, 'org_fill_' || (n % 8000) AS org, $1::text AS own
    FROM generate_series(1, ${rows}) AS n) AS f`;
/** They sort before the ids of what is made now, as they would if they were older. */
const id = (prefix: string): string => `'${prefix}_' || lpad(to_hex(n), 32, '0')`;
/** Of yesterday: what is forgotten after 30 days is to stay, whenever a process looks for it. */
const yesterday = "now() - interval '1 day'";
const runId = `'run_' || lpad(to_hex((extract(epoch FROM ${yesterday}) * 1000)::bigint), 12, '0') ||
     lpad(to_hex(n), 20, '0')`;
const begin = "'2020-01-01'::timestamptz";
const end = "'2020-02-01'::timestamptz";

const statements: readonly string[] = [
  `INSERT INTO organizations (id, name, created_at, tier) SELECT org, 'x', now(), 'scale' ${fromOrganizations}`,
  `INSERT INTO data_keys (organization_id, version, master_key_id, wrapped, created_at) SELECT org, 1, 'x', '\\x00',
     now() ${fromOrganizations}`,
  `INSERT INTO audit_heads (organization_id, lane, last_sequence, head_hash)
   SELECT org, 0, 10, repeat('0', 64) ${fromOrganizations}`,
  `INSERT INTO invoice_series (organization_id, last_number, head_hash)
   SELECT org, 10, repeat('0', 64) ${fromOrganizations}`,
  `INSERT INTO credit_note_series (organization_id, last_number, head_hash)
   SELECT org, 10, repeat('0', 64) ${fromOrganizations}`,
  `INSERT INTO api_keys (id, organization_id, name, hint, key_hash, scopes, created_at, updated_at)
   SELECT ${id('key')}, org, 'x', 'x', sha256(n::text::bytea), '{read:meters}', ${begin}, ${begin} ${from}`,
  `INSERT INTO meters (id, organization_id, code, name, metadata, version, created_at, updated_at)
   SELECT ${id('mtr')}, org, 'm-' || n, 'x', '{}', 1, ${begin}, ${begin} ${fromOthers}`,
  `INSERT INTO meter_versions (id, organization_id, meter_id, version_number, event, aggregation, definition,
     created_at)
   SELECT ${id('mtv')}, org, ${id('mtr')}, 1, 'e', 'count', '{}', ${begin} ${fromOthers}`,
  `INSERT INTO plans (id, organization_id, code, name, metadata, version, created_at, updated_at)
   SELECT ${id('pln')}, org, 'p-' || n, 'x', '{}', 1, ${begin}, ${begin} ${fromOthers}`,
  `INSERT INTO plan_versions (id, organization_id, plan_id, version_number, state, currency, billing_interval, charges,
     version, created_at, updated_at, activated_at)
   SELECT ${id('plv')}, org, ${id('pln')}, 1, 'active', 'USD', 'month', '[]', 1, ${begin}, ${begin}, ${begin}
     ${fromOthers}`,
  `INSERT INTO plan_version_meters (organization_id, plan_version_id, meter_code, meter_version_id)
   SELECT org, ${id('plv')}, 'm-' || n, ${id('mtv')} ${fromOthers}`,
  `INSERT INTO cost_books (id, organization_id, code, name, dimensions, currency, metadata, version, created_at,
     updated_at)
   SELECT ${id('cbk')}, org, 'b-' || n, 'x', '{d}', 'USD', '{}', 1, ${begin}, ${begin} ${fromOthers}`,
  `INSERT INTO cost_book_versions (id, organization_id, cost_book_id, version_number, effective_from, entries,
     default_cost, created_at)
   SELECT ${id('cbv')}, org, ${id('cbk')}, 1, ${begin}, '[]', 0, ${begin} ${fromOthers}`,
  `INSERT INTO credit_units (id, organization_id, code, name, metadata, version, created_at, updated_at)
   SELECT ${id('cru')}, org, 'u-' || n, 'x', '{}', 1, ${begin}, ${begin} ${fromOthers}`,
  `INSERT INTO credit_unit_rates (id, organization_id, credit_unit_id, rate_number, effective_from, unit, amount,
     created_at)
   SELECT ${id('crr')}, org, ${id('cru')}, 1, ${begin}, 'USD', 1, ${begin} ${fromOthers}`,
  `INSERT INTO features (id, organization_id, code, name, type, metadata, version, created_at, updated_at)
   SELECT ${id('fea')}, org, 'f-' || n, 'x', 'switch', '{}', 1, ${begin} + n * interval '1 second', ${begin} ${from}`,
  `INSERT INTO plan_version_features (organization_id, plan_version_id, feature_id)
   SELECT org, ${id('plv')}, ${id('fea')} ${fromOthers}`,
  `INSERT INTO tax_rates (id, organization_id, code, name, percentage, inclusive, country, metadata, version,
     created_at, updated_at)
   SELECT ${id('txr')}, org, 't-' || n, 'x', 19, false, 'DE', '{}', 1, ${begin} + n * interval '1 second', ${begin}
     ${fromOthers}`,
  `INSERT INTO customers (id, organization_id, external_id, name, metadata, version, created_at, updated_at)
   SELECT ${id('cus')}, org, 'fill-' || n, 'x', '{}', 1, ${begin} + n * interval '1 second', ${begin} ${from}`,
  `INSERT INTO customer_counts (organization_id, part, current, archived)
   SELECT org, p, 4, 0 ${fromOrganizations} CROSS JOIN generate_series(0, 3) AS p`,
  `INSERT INTO customer_keys (organization_id, customer_id, wrapped) SELECT org, ${id('cus')}, '\\x00' ${from}`,
  `INSERT INTO customer_aliases (organization_id, name, customer_id, since, number)
   SELECT org, 'was-' || n, ${id('cus')}, ${begin}, n ${from}`,
  `INSERT INTO customer_details (organization_id, customer_id, version, digest, sealed, replaced_at)
   SELECT org, ${id('cus')}, 1, encode(sha256((org || n)::bytea), 'hex'), '\\x00', ${begin} ${from}`,
  `INSERT INTO price_overrides (id, organization_id, plan_id, charge_code, customer_id, currency, price, tiers,
     effective_from, metadata, version, created_at, updated_at)
   SELECT ${id('pov')}, org, ${id('pln')}, 'x', ${id('cus')}, 'USD', '{"model":"flat","amount":"1"}', 'restart',
     ${begin} + n * interval '1 second', '{}', 1, ${begin} + n * interval '1 second', ${begin} ${from}`,
  `INSERT INTO subscriptions (id, organization_id, customer_id, plan_version_id, currency, state, started_at, ended_at,
     metadata, version, created_at, updated_at)
   SELECT ${id('sub')}, org, ${id('cus')}, ${id('plv')}, 'USD', 'ended', ${begin}, ${end}, '{}', 1,
     ${begin} + n * interval '1 second', ${begin} ${from}`,
  `INSERT INTO subscription_changes (id, organization_id, subscription_id, kind, effective_at, quantity, bills,
     created_at)
   SELECT ${id('chg')}, org, ${id('sub')}, 'seats', ${begin}, 5, 'next', ${begin} ${from}`,
  `INSERT INTO one_time_charges (id, organization_id, subscription_id, name, amount, effective_at, bills, metadata,
     version, created_at, updated_at)
   SELECT ${id('otc')}, org, ${id('sub')}, 'x', 1, ${begin}, 'next', '{}', 1, ${begin} + n * interval '1 second',
     ${begin} ${from}`,
  `INSERT INTO coupons (id, organization_id, code, name, kind, percentage, duration, charge_codes, plan_ids,
     charge_kinds, first_time_customers_only, metadata, version, created_at, updated_at)
   SELECT ${id('cpn')}, org, 'c-' || n, 'x', 'percentage', 10, 'forever', '{}', '{}', '{}', false, '{}', 1,
     ${begin} + n * interval '1 second', ${begin} ${from}`,
  `INSERT INTO promotion_codes (id, organization_id, coupon_id, code, metadata, version, created_at, updated_at)
   SELECT ${id('prm')}, org, ${id('cpn')}, 'C-' || n, '{}', 1, ${begin} + n * interval '1 second', ${begin} ${from}`,
  `INSERT INTO discounts (id, organization_id, coupon_id, promotion_code_id, customer_id, subscription_id, started_at,
     metadata, version, created_at, updated_at)
   SELECT ${id('dsc')}, org, ${id('cpn')}, ${id('prm')}, ${id('cus')}, ${id('sub')}, ${begin}, '{}', 1,
     ${begin} + n * interval '1 second', ${begin} ${from}`,
  `INSERT INTO test_clocks (id, organization_id, now_at, state, metadata, version, created_at, updated_at)
   SELECT ${id('clk')}, org, ${begin}, 'ready', '{}', 1, ${begin} + n * interval '1 second', ${begin} ${from}`,
  `INSERT INTO quotes (id, organization_id, customer_id, plan_id, terms, valid_until, state, metadata, version,
     created_at, updated_at)
   SELECT ${id('quo')}, org, ${id('cus')}, ${id('pln')}, '{"add_ons":[],"prices":[]}', ${end}, 'draft', '{}', 1,
     ${begin} + n * interval '1 second', ${begin} ${from}`,
  `INSERT INTO billing_runs (id, organization_id, period_start, period_end, state, is_cut, watermark, created_at,
     updated_at)
   SELECT ${runId}, org, ${begin}, ${end}, 'completed', true, 1, ${begin}, ${begin} ${from}`,
  `INSERT INTO billing_run_shards (run_id, shard_number, billing_period_ids, state) SELECT ${runId}, 0, '{}',
     'issued' ${from}`,
  `INSERT INTO simulations (id, organization_id, period_start, period_end, chosen, plans, state, watermark, ended_at,
     version, created_at, updated_at, request_id, api_key_id)
   SELECT ${id('sim')}, org, ${begin}, ${end}, '{"kind":"all"}', '{"baseline":null,"candidates":[]}', 'completed', 1,
     ${end}, 2, ${begin} + n * interval '1 second', ${begin}, 'x', 'x' ${from}`,
  `INSERT INTO simulation_shards (organization_id, simulation_id, shard_number, first_customer, customer_ids, state)
   SELECT org, ${id('sim')}, 0, 0, '{}', 'done' ${from}`,
  `INSERT INTO simulation_results (organization_id, simulation_id, customer_number, place, candidate, customer_id,
     external_id, currency, baseline, amount)
   SELECT org, ${id('sim')}, 0, '01.USD', 1, ${id('cus')}, 'fill-' || n, 'USD', 1, 1 ${from}`,
  `INSERT INTO plan_migrations (id, organization_id, plan_id, from_version, from_version_ids, to_plan_id, to_version_id,
     at, bills, state, total, ended_at, version, created_at, updated_at, request_id, api_key_id)
   SELECT ${id('pmg')}, org, ${id('pln')}, 1, ARRAY['x'], ${id('pln')}, ${id('plv')}, 'now', 'next', 'completed', 1,
     ${end}, 2, ${begin} + n * interval '1 second', ${begin}, 'x', 'x' ${from}`,
  `INSERT INTO plan_migration_outcomes (organization_id, migration_id, subscription_id, customer_id, outcome, reason,
     from_version_id, created_at)
   SELECT org, ${id('pmg')}, ${id('sub')}, ${id('cus')}, 'skipped', 'over', ${id('plv')}, ${begin} ${from}`,
  `INSERT INTO issuing_entities (id, organization_id, legal_name, tax_ids, time_zone, number_prefix, number_year,
     number_padding, number_reset, metadata, version, created_at, updated_at)
   SELECT ${id('ent')}, org, 'x', '[]', 'UTC', 'E' || n || '-', true, 6, 'yearly', '{}', 1,
     ${begin} + n * interval '1 second', ${begin} ${from}`,
  `INSERT INTO numbering_series (organization_id, stem, prefix, last_number)
   SELECT org, 'FILL-' || n || '-', 'FILL-', 1 ${fromOthers}`,
  `INSERT INTO invoices (id, organization_id, series_number, kind, customer_id, run_id, currency, subtotal,
     discount_total, tax_total, total, issued_at, previous_hash, hash, content_version, document_number)
   SELECT ${id('inv')}, org, 1000000 + n, 'period', ${id('cus')}, ${runId}, 'USD', 0, 0, 0, 0,
     ${end} + n * interval '1 second', repeat('0', 64), repeat('0', 64), 4, 'FILL-' || n ${from}`,
  `INSERT INTO invoice_states (organization_id, invoice_id, series_number, customer_id, currency, state, total,
     issued_at, due_at, metadata, version, updated_at)
   SELECT org, ${id('inv')}, 1000000 + n, ${id('cus')}, 'USD', 'issued', 1, ${end} + n * interval '1 second',
     ${end} + n * interval '1 second', '{}', 1, ${end} ${from}`,
  `INSERT INTO invoice_drafts (id, organization_id, kind, state, customer_id, currency, overrides, lines, line_count,
     subtotal, taxes, computed_at, metadata, version, created_at, updated_at)
   SELECT ${id('inv')}, org, 'one_off', 'draft', ${id('cus')}, 'USD', '{}', '[]', 1, 1, '[]', ${begin}, '{}', 1,
     ${begin} + n * interval '1 second', ${begin} ${from}`,
  `INSERT INTO discount_uses (organization_id, discount_id, invoice_id, is_once, subscription_id, period_start, amount)
   SELECT org, ${id('dsc')}, ${id('inv')}, false, ${id('sub')}, ${begin}, 1 ${from}`,
  `INSERT INTO invoice_lines (invoice_id, position, charge_code, description, quantity, rounding, precise_amount,
     amount, steps, period_start, period_end)
   SELECT ${id('inv')}, p, 'c', 'x', 0, 'half_up', 0, 0, '[]', ${begin}, ${end} ${from} CROSS
   JOIN generate_series(1, 2) AS p`,
  `INSERT INTO billing_periods (id, organization_id, subscription_id, customer_id, plan_version_id, billing_start,
     billing_end, segment, span_start, span_end, item, timing, billing_month, due_at, payer_id, consolidated, state, watermark,
     invoice_id, created_at)
   SELECT ${id('bpd')}, org, ${id('sub')}, ${id('cus')}, ${id('plv')}, ${begin}, ${end}, 1, ${begin}, ${end}, 'plan',
     'arrears', '2020-01', ${end}, ${id('cus')}, false, 'billed', 1, ${id('inv')}, ${begin} ${from}`,
  `INSERT INTO late_periods (billing_period_id, organization_id, found_at)
   SELECT ${id('bpd')}, org, ${begin} ${fromOthers}`,
  `INSERT INTO late_usage_looks (organization_id, looked_sequence, looked_at)
   SELECT org, 1, ${begin} ${fromOrganizations}`,
  `INSERT INTO rated_lines (id, organization_id, billing_period_id, subscription_id, period_start, period_end,
     charge_code, watermark, plan_version_id, position, line, unmeasured_events, rated_at)
   SELECT ${id('rln')}, org, ${id('bpd')}, ${id('sub')}, ${begin}, ${end}, 'c', 1, ${id('plv')}, 1, '{}', 0,
     ${begin} ${from}`,
  `INSERT INTO rating_failures (id, organization_id, run_id, shard_number, billing_period_id, subscription_id,
     customer_id, code, message, failed_at)
   SELECT ${id('rfl')}, org, ${runId}, 0, ${id('bpd')}, ${id('sub')}, ${id('cus')}, 'rating_error', 'x', ${begin}
     ${from}`,
  `INSERT INTO carried_periods (run_id, billing_period_id, organization_id, customer_id, currency, invoice_total,
     minimum_amount, carried_at)
   SELECT ${runId}, ${id('bpd')}, org, ${id('cus')}, 'USD', 1, 2, ${begin} ${from}`,
  `INSERT INTO rating_run_periods (run_id, id, organization_id, subscription_id, customer_id, plan_version_id, segment,
     span_start, span_end, billing_start, billing_end, item, timing)
   SELECT ${runId}, ${id('bpd')}, org, ${id('sub')}, ${id('cus')}, ${id('plv')}, 1, ${begin}, ${end}, ${begin},
     ${end}, 'plan', 'arrears' ${from}`,
  `INSERT INTO rating_run_lines (run_id, billing_period_id, place, organization_id, subscription_id, customer_id, line,
     unmeasured_events, hash_version, input_hash, output_hash, rated_at)
   SELECT ${runId}, ${id('bpd')}, '000001', org, ${id('sub')}, ${id('cus')}, '{}', 0, 1, 'x', 'x', now() ${from}`,
  `INSERT INTO rating_run_totals (run_id, shard_number, currency, organization_id, lines, amount, unmeasured_events)
   SELECT ${runId}, 0, 'USD', org, 1, 0, 0 ${from}`,
  `INSERT INTO audit_log (organization_id, canonical_version, lane, sequence, id, occurred_at, actor, action,
     object_type, object_id, object_sequence, result, previous_hash, hash)
   SELECT org, 3, 0, 1000000 + n, ${id('aud')}, ${begin} + n * interval '1 second', 'x', 'customer.created', 'customer',
     ${id('cus')}, 1, '201', repeat('0', 64), repeat('0', 64) ${from}`,
  `INSERT INTO outbox (organization_id, lane, sequence, id, type, object_type, object_id, occurred_at)
   SELECT org, 0, 1000000 + n, 'evt_' || md5('fill' || n), 'customer.created', 'customer', ${id('cus')},
     ${yesterday} + n * interval '1 second' ${from}`,
  `INSERT INTO idempotency_keys (organization_id, key, fingerprint, status, headers, body, created_at, expires_at)
   SELECT org, 'fill-' || n, '\\x00', 201, '{}', '\\x00', now(), now() + interval '23 hours' ${from}`,
  `INSERT INTO amendments (id, organization_id, idempotency_key, number, action, reason, created_at, published_sequence,
     published_at, stream_sequence, applied_at)
   SELECT ${id('amd')}, org, 'fill-' || n, 1, 'void', 'x', ${begin} + n * interval '1 second', 1, ${begin}, 1,
     ${begin} ${from}`,
  `INSERT INTO amended_events (organization_id, amendment_id, effect, position, event, customer, occurred_at,
     row_digest)
   SELECT org, ${id('amd')}, 'removed', 0, 'e', 'fill-' || n, ${begin}, decode(repeat('00', 16), 'hex') ${from}`,
  `INSERT INTO ingest_gateways (id, started_at, reported_at, ended_at) SELECT 'gateway-' || n, ${begin}, ${begin},
     ${begin} ${fromOthers}`,
  `INSERT INTO ingest_counts (organization_id, hour, gateway_id, received, accepted, repeated, duplicates, conflicts,
     rejected, not_final)
   SELECT org, ${begin} + (n % 20000) * interval '1 hour', 'gateway-' || n, 1, 1, 0, 0, 0, 0, 0 ${from}`,
  `INSERT INTO credit_notes (id, organization_id, series_number, content_version, document_number, invoice_id,
     customer_id, currency, reason, pre_payment_amount, post_payment_amount, subtotal, discount_total, tax_total, total,
     issued_at, previous_hash, hash, line_count, metadata, time_zone)
   SELECT ${id('crn')}, org, 1000000 + n, 1, 'FILL-' || n, ${id('inv')}, ${id('cus')}, 'USD', 'other', 0, 0, 0, 0, 0, 0,
     ${end} + n * interval '1 second', repeat('0', 64), repeat('0', 64), 1, '{}', 'UTC' ${from}`,
  `INSERT INTO credit_note_lines (organization_id, credit_note_id, position, invoice_id, invoice_line, amount)
   SELECT org, ${id('crn')}, 1, ${id('inv')}, 1, 0 ${from}`,
  `INSERT INTO credit_note_numbering (organization_id, stem, prefix, last_number)
   SELECT org, 'CNFILL-' || n || '-', 'CNFILL-', 1 ${fromOthers}`,
  `INSERT INTO invoice_documents (organization_id, invoice_id, customer_id, state, time_zone)
   SELECT org, ${id('inv')}, ${id('cus')}, 'failed', 'UTC' ${from}`,
];

/** Fills them past the rules on what may change and what must be named; resolves with the names of the large ones. */
export const fillTables = async (owner: Postgres, organizationId: string): Promise<ReadonlySet<string>> => {
  await owner.transaction(async ({ query }) => {
    await query('SET LOCAL session_replication_role = replica');
    for (const statement of statements) await query(statement, [organizationId]);
  });
  await owner.query('VACUUM ANALYZE');
  const { rows: found } = await owner.query<{ name: string }>(
    `SELECT relname AS name FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace
       AND reltuples >= $1`,
    [rowsMin],
  );
  return new Set(found.map(({ name }) => name));
};
