-- Everything contractual and financial. Ids are prefixed UUIDv7 texts; money and quantities are numeric, never floating point; all times are
-- UTC instants. Every table of a tenant names its organization, and every query does too.

CREATE TABLE organizations (
  id         text PRIMARY KEY,
  name       text NOT NULL,
  created_at timestamptz NOT NULL
);

-- One row per API key. Only a keyed hash of the key is stored: a dump holds no usable key.
CREATE TABLE api_keys (
  id              text PRIMARY KEY,
  organization_id text NOT NULL REFERENCES organizations,
  name            text NOT NULL,
  key_hash        bytea NOT NULL UNIQUE,
  scopes          text[] NOT NULL,
  created_at      timestamptz NOT NULL,
  expires_at      timestamptz,
  revoked_at      timestamptz
);

CREATE TABLE meters (
  id              text PRIMARY KEY,
  organization_id text NOT NULL REFERENCES organizations,
  code            text NOT NULL,
  name            text NOT NULL,
  event           text NOT NULL,
  aggregation     text NOT NULL CHECK (aggregation IN ('count', 'sum')),
  property        text CHECK ((aggregation = 'count') = (property IS NULL)),
  metadata        jsonb NOT NULL,
  version         integer NOT NULL,
  created_at      timestamptz NOT NULL,
  updated_at      timestamptz NOT NULL,
  UNIQUE (organization_id, code)
);

CREATE TABLE plans (
  id              text PRIMARY KEY,
  organization_id text NOT NULL REFERENCES organizations,
  code            text NOT NULL,
  name            text NOT NULL,
  metadata        jsonb NOT NULL,
  version         integer NOT NULL,
  created_at      timestamptz NOT NULL,
  updated_at      timestamptz NOT NULL,
  UNIQUE (organization_id, code)
);

-- One row per version of a plan: what a subscription is billed by. It never changes (see the trigger below).
CREATE TABLE plan_versions (
  id              text PRIMARY KEY,
  organization_id text NOT NULL REFERENCES organizations,
  plan_id         text NOT NULL REFERENCES plans,
  version_number  integer NOT NULL,
  currency        text NOT NULL,
  billing_interval text NOT NULL CHECK (billing_interval IN ('month')),
  charges         json NOT NULL,
  created_at      timestamptz NOT NULL,
  UNIQUE (plan_id, version_number)
);

CREATE TABLE customers (
  id              text PRIMARY KEY,
  organization_id text NOT NULL REFERENCES organizations,
  external_id     text NOT NULL,
  name            text NOT NULL,
  metadata        jsonb NOT NULL,
  version         integer NOT NULL,
  created_at      timestamptz NOT NULL,
  updated_at      timestamptz NOT NULL,
  UNIQUE (organization_id, external_id)
);
CREATE INDEX customers_by_organization ON customers (organization_id, id DESC);

CREATE TABLE subscriptions (
  id              text PRIMARY KEY,
  organization_id text NOT NULL REFERENCES organizations,
  customer_id     text NOT NULL REFERENCES customers,
  plan_version_id text NOT NULL REFERENCES plan_versions,
  state           text NOT NULL CHECK (state IN ('active', 'ended')),
  started_at      timestamptz NOT NULL,
  ended_at        timestamptz CHECK (ended_at > started_at),
  metadata        jsonb NOT NULL,
  version         integer NOT NULL,
  created_at      timestamptz NOT NULL,
  updated_at      timestamptz NOT NULL
);
CREATE INDEX subscriptions_by_organization ON subscriptions (organization_id, id DESC);
CREATE INDEX subscriptions_by_customer ON subscriptions (customer_id);

-- One row per request to close a period. The watermark is the highest stream sequence that the run bills; it is set once.
CREATE TABLE billing_runs (
  id              text PRIMARY KEY,
  organization_id text NOT NULL REFERENCES organizations,
  period_start    timestamptz NOT NULL,
  period_end      timestamptz NOT NULL CHECK (period_end > period_start),
  customer_id     text REFERENCES customers,
  subscription_id text REFERENCES subscriptions,
  state           text NOT NULL CHECK (state IN ('queued', 'running', 'completed', 'failed')),
  watermark       bigint,
  already_issued  integer NOT NULL DEFAULT 0,
  failure         text,
  created_at      timestamptz NOT NULL,
  updated_at      timestamptz NOT NULL
);
-- In the order of the rater's queue.
CREATE INDEX billing_runs_queued ON billing_runs (updated_at, id) WHERE state = 'queued';
CREATE INDEX billing_runs_by_organization ON billing_runs (organization_id, id DESC);

-- One row per shard of a run: the unit of work of rater and invoicer, held by a lease so that a process may die at any point.
CREATE TABLE billing_run_shards (
  run_id           text NOT NULL REFERENCES billing_runs,
  shard_number     integer NOT NULL,
  subscription_ids text[] NOT NULL,
  state            text NOT NULL CHECK (state IN ('queued', 'rated', 'issued', 'failed')),
  leased_until     timestamptz,
  attempts         integer NOT NULL DEFAULT 0,
  issued           integer NOT NULL DEFAULT 0,
  already_issued   integer NOT NULL DEFAULT 0,
  rated_ms         integer,
  issued_ms        integer,
  failure          text,
  PRIMARY KEY (run_id, shard_number)
);
CREATE INDEX billing_run_shards_open ON billing_run_shards (state, leased_until) WHERE state IN ('queued', 'rated');

-- One row per (subscription, period, charge, watermark). The same watermark always gives the same row, so a repeated write changes nothing.
CREATE TABLE rated_lines (
  organization_id   text NOT NULL REFERENCES organizations,
  subscription_id   text NOT NULL REFERENCES subscriptions,
  period_start      timestamptz NOT NULL,
  period_end        timestamptz NOT NULL,
  charge_code       text NOT NULL,
  watermark         bigint NOT NULL,
  plan_version_id   text NOT NULL REFERENCES plan_versions,
  position          integer NOT NULL,
  line              json NOT NULL,
  unmeasured_events bigint NOT NULL,
  rated_at          timestamptz NOT NULL,
  PRIMARY KEY (subscription_id, period_start, watermark, charge_code)
);

-- One row per organization: the counter of its invoice numbers and the head of its hash chain. The row lock of the issuing transaction
-- makes numbers gap-free: a rollback takes its number back.
CREATE TABLE invoice_series (
  organization_id text PRIMARY KEY REFERENCES organizations,
  last_number     bigint NOT NULL,
  head_hash       text NOT NULL
);

CREATE TABLE invoices (
  id              text PRIMARY KEY,
  organization_id text NOT NULL REFERENCES organizations,
  series_number   bigint NOT NULL,
  kind            text NOT NULL CHECK (kind IN ('period')),
  customer_id     text NOT NULL REFERENCES customers,
  subscription_id text NOT NULL REFERENCES subscriptions,
  plan_version_id text NOT NULL REFERENCES plan_versions,
  run_id          text NOT NULL REFERENCES billing_runs,
  period_start    timestamptz NOT NULL,
  period_end      timestamptz NOT NULL,
  watermark       bigint NOT NULL,
  currency        text NOT NULL,
  subtotal        numeric NOT NULL,
  total           numeric NOT NULL,
  issued_at       timestamptz NOT NULL,
  previous_hash   text NOT NULL,
  hash            text NOT NULL,
  UNIQUE (organization_id, series_number),
  CONSTRAINT invoices_once_per_period UNIQUE (subscription_id, period_start, period_end, kind)
);
-- Ids are UUIDv7: by id is by time, newest first, with no ties.
CREATE INDEX invoices_by_organization ON invoices (organization_id, id DESC);
CREATE INDEX invoices_by_customer ON invoices (customer_id, id DESC);

CREATE TABLE invoice_lines (
  invoice_id     text NOT NULL REFERENCES invoices,
  position       integer NOT NULL,
  charge_code    text NOT NULL,
  description    text NOT NULL,
  meter          text,
  quantity       numeric NOT NULL,
  rounding       text NOT NULL,
  precise_amount numeric NOT NULL,
  amount         numeric NOT NULL,
  steps          json NOT NULL,
  period_start   timestamptz NOT NULL,
  period_end     timestamptz NOT NULL,
  PRIMARY KEY (invoice_id, position)
);

-- Rows that stand for ever: the application's role has no right to change them, and the triggers answer whoever has.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is immutable: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON invoices FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON invoice_lines FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON plan_versions FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON rated_lines FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- A line can only be written by the transaction that issues its invoice: nothing is added to an issued invoice either.
CREATE FUNCTION refuse_late_line() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (
    SELECT 1 FROM new_lines l JOIN invoices i ON i.id = l.invoice_id
    WHERE i.xmin <> pg_current_xact_id()::xid
  ) THEN
    RAISE EXCEPTION 'invoice_lines of an issued invoice are immutable: INSERT refused' USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER with_its_invoice AFTER INSERT ON invoice_lines
  REFERENCING NEW TABLE AS new_lines FOR EACH STATEMENT EXECUTE FUNCTION refuse_late_line();

-- The services work under this role. It owns nothing, so it can't switch a trigger off.
DO $$ BEGIN
  CREATE ROLE millrace_app NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$;
GRANT millrace_app TO CURRENT_USER;
DO $$ BEGIN EXECUTE format('GRANT USAGE ON SCHEMA %I TO millrace_app', current_schema()); END $$;
GRANT SELECT, INSERT ON organizations, api_keys, meters, plans, plan_versions, customers, subscriptions, billing_runs, billing_run_shards,
  rated_lines, invoice_series, invoices, invoice_lines TO millrace_app;
GRANT UPDATE ON api_keys, meters, plans, customers, subscriptions, billing_runs, billing_run_shards, invoice_series TO millrace_app;

-- Takes one shard in the given state for a while. Whoever dies with it loses it to the next one when the lease ends.
CREATE FUNCTION lease_billing_run_shard(wanted_state text, lease_seconds integer)
RETURNS TABLE (run_id text, shard_number integer, organization_id text, period_start timestamptz, period_end timestamptz, watermark bigint, subscription_ids text[])
LANGUAGE sql AS $$
  -- A shard that took so many processes with it is given up, by name, rather than tried for ever.
  WITH failed AS (
    UPDATE billing_run_shards s SET state = 'failed', failure = 'the process that worked on it died, 20 times'
    WHERE s.state = wanted_state AND s.attempts >= 20 AND s.leased_until < clock_timestamp()
    RETURNING s.run_id, s.failure
  )
  UPDATE billing_runs r SET state = 'failed', failure = f.failure, updated_at = clock_timestamp() FROM failed f WHERE r.id = f.run_id;
  WITH candidate AS (
    SELECT s.run_id, s.shard_number FROM billing_run_shards s
    WHERE s.state = wanted_state AND (s.leased_until IS NULL OR s.leased_until < clock_timestamp())
    -- Those that were given back stand behind those that were not tried yet, so that one organization's trouble holds up no other.
    ORDER BY s.leased_until NULLS FIRST, s.run_id, s.shard_number LIMIT 1 FOR UPDATE SKIP LOCKED
  ), leased AS (
    UPDATE billing_run_shards s SET leased_until = clock_timestamp() + make_interval(secs => lease_seconds), attempts = s.attempts + 1
    FROM candidate c WHERE s.run_id = c.run_id AND s.shard_number = c.shard_number
    RETURNING s.run_id, s.shard_number, s.subscription_ids
  )
  SELECT l.run_id, l.shard_number, r.organization_id, r.period_start, r.period_end, r.watermark, l.subscription_ids
  FROM leased l JOIN billing_runs r ON r.id = l.run_id
$$;

-- Gives a shard back after a fault, to be tried again in two seconds. A part that was down costs no attempt; a bug that stops a shard too often fails it, and its run, with the reason.
CREATE FUNCTION give_up_billing_run_shard(of_run text, of_shard integer, reason text, passing boolean, attempts_max integer)
RETURNS void LANGUAGE sql AS $$
  UPDATE billing_run_shards SET
    leased_until = clock_timestamp() + interval '2 seconds',
    attempts = CASE WHEN passing THEN attempts - 1 ELSE attempts END,
    failure = reason,
    state = CASE WHEN NOT passing AND attempts >= attempts_max THEN 'failed' ELSE state END
  WHERE run_id = of_run AND shard_number = of_shard AND state IN ('queued', 'rated');
  UPDATE billing_runs SET state = 'failed', failure = reason, updated_at = clock_timestamp()
  WHERE id = of_run AND EXISTS (SELECT 1 FROM billing_run_shards s WHERE s.run_id = of_run AND s.state = 'failed');
$$;
