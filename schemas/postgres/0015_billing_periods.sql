-- Which time of which subscription is billed by which invoice, up to which watermark: written down once, where the time is cut, and not worked out again from a
-- subscription that may have been ended in the past meanwhile.

-- One row per (subscription, billing period, segment). `billing_*` is the period of the calendar; `span_*` the very time of it that is measured and billed.
CREATE TABLE billing_periods (
  id              text PRIMARY KEY,
  organization_id text NOT NULL REFERENCES organizations,
  subscription_id text NOT NULL,
  customer_id     text NOT NULL,
  plan_version_id text NOT NULL,
  billing_start   timestamptz NOT NULL,
  billing_end     timestamptz NOT NULL,
  segment         integer NOT NULL CHECK (segment > 0),
  span_start      timestamptz NOT NULL CHECK (span_start >= billing_start),
  span_end        timestamptz NOT NULL CHECK (span_end > span_start AND span_end <= billing_end),
  state           text NOT NULL CHECK (state IN ('open', 'billed')),
  watermark       bigint CHECK ((watermark IS NOT NULL) = (state = 'billed')),
  invoice_id      text CHECK ((invoice_id IS NOT NULL) = (state = 'billed')),
  created_at      timestamptz NOT NULL,
  -- At most one invoice bills it [I16], as there is one place for it to stand.
  CONSTRAINT billing_periods_once UNIQUE (subscription_id, billing_start, segment),
  UNIQUE (organization_id, id),
  FOREIGN KEY (organization_id, subscription_id) REFERENCES subscriptions (organization_id, id),
  FOREIGN KEY (organization_id, customer_id) REFERENCES customers (organization_id, id),
  FOREIGN KEY (organization_id, plan_version_id) REFERENCES plan_versions (organization_id, id)
);
-- What a run takes, in its order.
CREATE INDEX billing_periods_open ON billing_periods (organization_id, billing_start, customer_id, subscription_id, segment) WHERE state = 'open';
CREATE INDEX billing_periods_by_billing ON billing_periods (organization_id, billing_start);
CREATE INDEX billing_periods_by_invoice ON billing_periods (invoice_id) WHERE invoice_id IS NOT NULL;

-- A billed period is a part of its invoice, which hashes it.
CREATE FUNCTION refuse_change_of_billed_period() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' OR OLD.state = 'billed' OR (to_jsonb(NEW) - '{state,watermark,invoice_id}'::text[]) <> (to_jsonb(OLD) - '{state,watermark,invoice_id}'::text[]) THEN
    RAISE EXCEPTION 'billing_periods: % refused: a period is billed once, and never moves', TG_OP USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$;

-- Versions of what an invoice's hash covers. In version 1 the subscription and its whole month stand in the invoice; from version 2 on an invoice has the billing
-- periods that name it, none or several, and a line the one that it charges for.
ALTER TABLE invoices
  ADD COLUMN content_version integer NOT NULL DEFAULT 1,
  ALTER COLUMN subscription_id DROP NOT NULL,
  ALTER COLUMN plan_version_id DROP NOT NULL,
  ALTER COLUMN run_id DROP NOT NULL,
  ALTER COLUMN period_start DROP NOT NULL,
  ALTER COLUMN period_end DROP NOT NULL,
  ALTER COLUMN watermark DROP NOT NULL,
  ADD CONSTRAINT invoices_columns_of_version_1 CHECK ((content_version = 1)
    = (num_nonnulls(subscription_id, plan_version_id, period_start, period_end, watermark) = 5)),
  ADD CONSTRAINT invoices_columns_after_version_1 CHECK (content_version = 1
    OR num_nonnulls(subscription_id, plan_version_id, period_start, period_end, watermark) = 0);
ALTER TABLE invoices ALTER COLUMN content_version DROP DEFAULT;
ALTER TABLE invoice_lines ADD COLUMN billing_period_id text;

-- What was rated or issued so far becomes periods, with the time that was measured: the month as far as the subscription covers it.
INSERT INTO billing_periods (id, organization_id, subscription_id, customer_id, plan_version_id, billing_start, billing_end, segment, span_start, span_end, state,
  watermark, invoice_id, created_at)
SELECT 'bpd_' || md5(s.id || k.period_start::text), s.organization_id, s.id, s.customer_id,
  coalesce(i.plan_version_id, s.plan_version_id), k.period_start, k.period_end, 1,
  CASE WHEN c.is_empty THEN k.period_start ELSE c.span_start END, CASE WHEN c.is_empty THEN k.period_end ELSE c.span_end END,
  CASE WHEN i.id IS NULL THEN 'open' ELSE 'billed' END, i.watermark, i.id, clock_timestamp()
FROM (
  SELECT subscription_id, period_start, period_end FROM invoices
  UNION SELECT subscription_id, period_start, period_end FROM rated_lines
  UNION SELECT unnest(h.subscription_ids), r.period_start, r.period_end FROM billing_runs r JOIN billing_run_shards h ON h.run_id = r.id
) AS k
JOIN subscriptions s ON s.id = k.subscription_id
LEFT JOIN invoices i ON i.subscription_id = k.subscription_id AND i.period_start = k.period_start AND i.period_end = k.period_end
CROSS JOIN LATERAL (SELECT greatest(k.period_start, s.started_at) AS span_start, least(k.period_end, s.ended_at) AS span_end) AS b
CROSS JOIN LATERAL (SELECT b.span_start, b.span_end, b.span_start >= b.span_end AS is_empty) AS c;

ALTER TABLE billing_periods ADD FOREIGN KEY (invoice_id) REFERENCES invoices;
CREATE TRIGGER stays BEFORE UPDATE OR DELETE ON billing_periods FOR EACH ROW EXECUTE FUNCTION refuse_change_of_billed_period();
CREATE TRIGGER immutable BEFORE TRUNCATE ON billing_periods FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- A rated line has the period that it was measured for, which says its time.
ALTER TABLE rated_lines ADD COLUMN billing_period_id text;
ALTER TABLE rated_lines DISABLE TRIGGER immutable;
UPDATE rated_lines l SET billing_period_id = p.id FROM billing_periods p WHERE p.subscription_id = l.subscription_id AND p.billing_start = l.period_start;
ALTER TABLE rated_lines ENABLE TRIGGER immutable;
ALTER TABLE rated_lines
  ALTER COLUMN billing_period_id SET NOT NULL,
  DROP CONSTRAINT rated_lines_pkey,
  ADD PRIMARY KEY (billing_period_id, watermark, charge_code),
  ADD FOREIGN KEY (organization_id, billing_period_id) REFERENCES billing_periods (organization_id, id);

-- A shard is a list of billing periods; one from before, of subscriptions. What was not issued when the store was migrated is rated again.
ALTER TABLE billing_run_shards
  ADD COLUMN billing_period_ids text[],
  ALTER COLUMN subscription_ids DROP NOT NULL;
UPDATE billing_run_shards h SET state = 'queued', leased_until = NULL, lines_digest = NULL, subscription_ids = NULL, billing_period_ids = (
  SELECT coalesce(array_agg(p.id ORDER BY p.customer_id, p.subscription_id, p.segment), '{}') FROM billing_periods p
  WHERE p.subscription_id = ANY (h.subscription_ids) AND p.billing_start = r.period_start)
FROM billing_runs r WHERE r.id = h.run_id AND h.state IN ('queued', 'rated');
ALTER TABLE billing_run_shards ADD CONSTRAINT billing_run_shards_of_periods CHECK ((billing_period_ids IS NULL) <> (subscription_ids IS NULL));

DROP FUNCTION lease_billing_run_shard(text, integer);
CREATE FUNCTION lease_billing_run_shard(wanted_state text, lease_seconds integer)
RETURNS TABLE (run_id text, shard_number integer, organization_id text, watermark bigint, billing_period_ids text[], request_id text)
LANGUAGE sql AS $$
  WITH candidate AS (
    SELECT s.run_id, s.shard_number FROM billing_run_shards s
    WHERE s.state = wanted_state AND s.attempts < 20 AND (s.leased_until IS NULL OR s.leased_until < clock_timestamp())
    -- Those that were given back stand behind those that were not tried yet, so that one organization's trouble holds up no other.
    ORDER BY s.leased_until NULLS FIRST, s.run_id, s.shard_number LIMIT 1 FOR UPDATE SKIP LOCKED
  ), leased AS (
    UPDATE billing_run_shards s SET leased_until = clock_timestamp() + make_interval(secs => lease_seconds), attempts = s.attempts + 1
    FROM candidate c WHERE s.run_id = c.run_id AND s.shard_number = c.shard_number
    RETURNING s.run_id, s.shard_number, s.billing_period_ids
  )
  SELECT l.run_id, l.shard_number, r.organization_id, r.watermark, l.billing_period_ids, r.request_id
  FROM leased l JOIN billing_runs r ON r.id = l.run_id
$$;
DO $$ BEGIN
  EXECUTE format('ALTER FUNCTION refuse_change_of_billed_period() SET search_path = %I, pg_temp', current_schema());
  EXECUTE 'REVOKE ALL ON FUNCTION lease_billing_run_shard(text, integer), refuse_change_of_billed_period() FROM PUBLIC';
END $$;
GRANT EXECUTE ON FUNCTION lease_billing_run_shard(text, integer) TO millrace_worker;

GRANT SELECT ON billing_periods TO millrace_app, millrace_worker;
GRANT INSERT, UPDATE ON billing_periods TO millrace_worker;
ALTER TABLE billing_periods ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_organization ON billing_periods TO millrace_app USING (organization_id = (SELECT current_organization()));
CREATE POLICY every_organization ON billing_periods TO millrace_worker USING (true);
