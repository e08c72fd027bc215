-- Runs that rate and issue nothing, and the billing periods that a run could not rate: listed one by one, so that one of them never stops the others.

-- What comes of a run: `billing` issues invoices; `rating` keeps rated lines as a billing run would; `dry_rating` keeps its lines apart from all that is billed.
ALTER TABLE billing_runs
  ADD COLUMN kind text NOT NULL DEFAULT 'billing' CHECK (kind IN ('billing', 'rating', 'dry_rating')),
  -- When it was cut into shards: what its progress is told by.
  ADD COLUMN started_at timestamptz;
CREATE INDEX billing_runs_rating ON billing_runs (organization_id, created_at, id) WHERE kind <> 'billing';

-- `done` is the end of a shard of a rating run, which no invoicer takes.
ALTER TABLE billing_run_shards
  DROP CONSTRAINT billing_run_shards_state_check,
  ADD CONSTRAINT billing_run_shards_state_check CHECK (state IN ('queued', 'rated', 'issued', 'done', 'failed'));

-- One row per billing period that a run could not rate. The period is in none of its shards any more, and stays as it was: open.
CREATE TABLE rating_failures (
  id                text PRIMARY KEY,
  organization_id   text NOT NULL REFERENCES organizations,
  run_id            text NOT NULL,
  shard_number      integer NOT NULL,
  -- Of a dry run a row of `rating_run_periods`.
  billing_period_id text NOT NULL,
  subscription_id   text NOT NULL,
  customer_id       text NOT NULL,
  code              text NOT NULL,
  message           text NOT NULL,
  failed_at         timestamptz NOT NULL,
  UNIQUE (run_id, billing_period_id),
  FOREIGN KEY (organization_id, run_id) REFERENCES billing_runs (organization_id, id),
  FOREIGN KEY (organization_id, subscription_id) REFERENCES subscriptions (organization_id, id),
  FOREIGN KEY (organization_id, customer_id) REFERENCES customers (organization_id, id)
);
CREATE INDEX rating_failures_by_run ON rating_failures (run_id, failed_at, id);

-- The time of subscriptions as a dry run cuts it: what stands in `billing_periods`, and what a billing run would write there.
CREATE TABLE rating_run_periods (
  run_id          text NOT NULL,
  id              text NOT NULL,
  organization_id text NOT NULL REFERENCES organizations,
  subscription_id text NOT NULL,
  customer_id     text NOT NULL,
  plan_version_id text NOT NULL,
  segment         integer NOT NULL CHECK (segment > 0),
  span_start      timestamptz NOT NULL,
  span_end        timestamptz NOT NULL CHECK (span_end > span_start),
  PRIMARY KEY (run_id, id),
  FOREIGN KEY (organization_id, run_id) REFERENCES billing_runs (organization_id, id),
  FOREIGN KEY (organization_id, subscription_id) REFERENCES subscriptions (organization_id, id),
  FOREIGN KEY (organization_id, customer_id) REFERENCES customers (organization_id, id),
  FOREIGN KEY (organization_id, plan_version_id) REFERENCES plan_versions (organization_id, id)
);

-- What a rating run gave, line by line, for some days; `place` is the line's own within its billing period. Nothing here is billed.
CREATE TABLE rating_run_lines (
  run_id            text NOT NULL,
  billing_period_id text NOT NULL,
  place             text NOT NULL,
  organization_id   text NOT NULL REFERENCES organizations,
  subscription_id   text NOT NULL,
  customer_id       text NOT NULL,
  line              json NOT NULL,
  unmeasured_events bigint NOT NULL,
  hash_version      integer NOT NULL,
  input_hash        text NOT NULL,
  output_hash       text NOT NULL,
  rated_at          timestamptz NOT NULL,
  PRIMARY KEY (run_id, billing_period_id, place),
  FOREIGN KEY (organization_id, run_id) REFERENCES billing_runs (organization_id, id)
);
CREATE INDEX rating_run_lines_by_age ON rating_run_lines (rated_at);
CREATE INDEX rating_run_lines_by_subscription ON rating_run_lines (run_id, subscription_id, billing_period_id, place);
CREATE INDEX rating_run_lines_by_customer ON rating_run_lines (run_id, customer_id, billing_period_id, place);

-- What the lines of a shard of a rating run sum to; they stay when the lines are gone.
CREATE TABLE rating_run_totals (
  run_id            text NOT NULL,
  shard_number      integer NOT NULL,
  currency          text NOT NULL,
  organization_id   text NOT NULL REFERENCES organizations,
  lines             bigint NOT NULL,
  amount            numeric NOT NULL,
  unmeasured_events bigint NOT NULL,
  PRIMARY KEY (run_id, shard_number, currency),
  FOREIGN KEY (run_id, shard_number) REFERENCES billing_run_shards (run_id, shard_number),
  FOREIGN KEY (organization_id, run_id) REFERENCES billing_runs (organization_id, id)
);

GRANT SELECT ON rating_failures, rating_run_periods, rating_run_lines, rating_run_totals TO millrace_app;
GRANT SELECT, INSERT ON rating_failures, rating_run_periods, rating_run_lines, rating_run_totals TO millrace_worker;
DO $$ DECLARE name text; BEGIN
  FOREACH name IN ARRAY ARRAY['rating_failures', 'rating_run_periods', 'rating_run_lines', 'rating_run_totals'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('CREATE POLICY own_organization ON %I TO millrace_app USING (organization_id = (SELECT current_organization()))', name);
    EXECUTE format('CREATE POLICY every_organization ON %I TO millrace_worker USING (true)', name);
  END LOOP;
END $$;

-- No login may delete rows; what is old goes by these rules alone, some at a time.
CREATE FUNCTION remove_old_rating_lines(now_is timestamptz)
RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $$
  WITH gone AS (
    DELETE FROM rating_run_lines WHERE ctid = ANY (ARRAY(
      SELECT ctid FROM rating_run_lines WHERE rated_at < least(now_is, now()) - interval '30 days' ORDER BY rated_at LIMIT 5000 FOR UPDATE SKIP LOCKED
    )) RETURNING 1
  ) SELECT count(*) FROM gone
$$;
DO $$ BEGIN
  EXECUTE format('ALTER FUNCTION remove_old_rating_lines(timestamptz) SET search_path = %I, pg_temp', current_schema());
  EXECUTE 'REVOKE ALL ON FUNCTION remove_old_rating_lines(timestamptz) FROM PUBLIC';
END $$;
GRANT EXECUTE ON FUNCTION remove_old_rating_lines(timestamptz) TO millrace_worker;
