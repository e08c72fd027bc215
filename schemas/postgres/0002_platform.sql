-- The platform under every route: separate logins, the wall between organizations, keys, idempotency, audit, encryption.

-- Sandboxes. A test key sees a world of its own: an organization that is the sandbox of another. Everything that is kept apart by organization, here,
-- in ClickHouse, in the stream and in Redis, is thereby kept apart by world too.
ALTER TABLE organizations
  ADD COLUMN sandbox_of text UNIQUE REFERENCES organizations,
  ADD COLUMN tier text NOT NULL DEFAULT 'scale' CHECK (tier IN ('starter', 'standard', 'scale'));
ALTER TABLE organizations ALTER COLUMN tier DROP DEFAULT;
INSERT INTO organizations (id, name, created_at, sandbox_of, tier)
  SELECT 'org_' || replace(uuidv7()::text, '-', ''), o.name, now(), o.id, o.tier FROM organizations o;

ALTER TABLE api_keys
  ADD COLUMN hint text NOT NULL DEFAULT '',
  -- Sealed; a key that has one takes signed requests only.
  ADD COLUMN signing_secret bytea,
  ADD COLUMN rotated_to text REFERENCES api_keys,
  ADD COLUMN last_used_at timestamptz,
  ADD COLUMN metadata jsonb NOT NULL DEFAULT '{}',
  ADD COLUMN version integer NOT NULL DEFAULT 1,
  ADD COLUMN updated_at timestamptz;
UPDATE api_keys SET updated_at = created_at;
ALTER TABLE api_keys ALTER COLUMN updated_at SET NOT NULL;
CREATE INDEX api_keys_by_organization ON api_keys (organization_id, id DESC);

-- Personal fields are sealed under a key of the customer; `name` is left only in rows from before, until the keys are rotated.
ALTER TABLE customers
  ALTER COLUMN name DROP NOT NULL,
  ADD COLUMN personal bytea,
  ADD CONSTRAINT customers_name_once CHECK ((name IS NULL) <> (personal IS NULL));

-- Goes from the request that asked for it through the logs of rater and invoicer.
ALTER TABLE billing_runs ADD COLUMN request_id text, ADD COLUMN api_key_id text REFERENCES api_keys;

-- One row per (organization, version): the key that seals its secrets, itself wrapped by the master key of that name.
CREATE TABLE data_keys (
  organization_id text NOT NULL REFERENCES organizations,
  version         integer NOT NULL,
  master_key_id   text NOT NULL,
  wrapped         bytea NOT NULL,
  created_at      timestamptz NOT NULL,
  PRIMARY KEY (organization_id, version)
);

-- One row per Idempotency-Key, written in the transaction of the work. The answer is sealed, as it may hold a secret or personal fields.
CREATE TABLE idempotency_keys (
  organization_id text NOT NULL REFERENCES organizations,
  key             text NOT NULL,
  fingerprint     bytea NOT NULL,
  status          integer NOT NULL,
  headers         jsonb NOT NULL,
  body            bytea NOT NULL,
  created_at      timestamptz NOT NULL,
  expires_at      timestamptz NOT NULL,
  PRIMARY KEY (organization_id, key)
);
CREATE INDEX idempotency_keys_by_expiry ON idempotency_keys (expires_at);

-- One row per organization: the head of its audit chain. The row lock of the writing transaction keeps the chain in one line.
CREATE TABLE audit_heads (
  organization_id text PRIMARY KEY REFERENCES organizations,
  last_sequence   bigint NOT NULL,
  head_hash       text NOT NULL
);

-- One row per change of an object, written in the transaction of the change. It never changes.
CREATE TABLE audit_log (
  organization_id text NOT NULL REFERENCES organizations,
  sequence        bigint NOT NULL,
  id              text NOT NULL UNIQUE,
  occurred_at     timestamptz NOT NULL,
  actor           text NOT NULL,
  action          text NOT NULL,
  object_type     text NOT NULL,
  object_id       text NOT NULL,
  before_digest   text,
  after_digest    text,
  request_id      text,
  result          text NOT NULL,
  previous_hash   text NOT NULL,
  hash            text NOT NULL,
  PRIMARY KEY (organization_id, sequence)
);
CREATE INDEX audit_log_by_object ON audit_log (organization_id, object_id, sequence);
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Three logins instead of one role that the owner put on: what a service can't do, no statement that is smuggled into it can. `migrate` gives them
-- their password. millrace_app: the API, one organization at a time. millrace_worker: rater and invoicer, which work for all. millrace_gateway: keys only.
DO $$
DECLARE login text;
BEGIN
  FOREACH login IN ARRAY ARRAY['millrace_worker', 'millrace_gateway'] LOOP
    BEGIN
      EXECUTE format('CREATE ROLE %I NOLOGIN', login);
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
    END;
  END LOOP;
  EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA %I FROM millrace_app', current_schema());
  EXECUTE format('REVOKE ALL ON ALL FUNCTIONS IN SCHEMA %I FROM PUBLIC', current_schema());
  EXECUTE format('GRANT USAGE ON SCHEMA %I TO millrace_worker, millrace_gateway', current_schema());
END $$;

GRANT SELECT ON organizations, api_keys, meters, plans, plan_versions, customers, subscriptions, billing_runs, billing_run_shards, rated_lines, invoices,
  invoice_lines, data_keys, idempotency_keys, audit_heads, audit_log TO millrace_app;
GRANT INSERT ON api_keys, meters, plans, plan_versions, customers, subscriptions, billing_runs, data_keys, idempotency_keys, audit_heads, audit_log TO millrace_app;
GRANT UPDATE ON api_keys, meters, plans, customers, subscriptions, idempotency_keys, audit_heads TO millrace_app;

GRANT SELECT ON organizations, meters, plans, plan_versions, customers, subscriptions, billing_runs, billing_run_shards, rated_lines, invoices,
  invoice_lines, invoice_series, audit_heads, audit_log TO millrace_worker;
GRANT INSERT ON billing_run_shards, rated_lines, invoice_series, invoices, invoice_lines, audit_heads, audit_log TO millrace_worker;
GRANT UPDATE ON billing_runs, billing_run_shards, invoice_series, audit_heads TO millrace_worker;
GRANT EXECUTE ON FUNCTION lease_billing_run_shard(text, integer), give_up_billing_run_shard(text, integer, text, boolean, integer) TO millrace_worker;

-- The second wall. The API says for whom it works before its first statement; a statement that forgets its organization sees no row of another, and without a word it sees none at all.
CREATE FUNCTION current_organization() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
  RETURN nullif(pg_catalog.current_setting('millrace.organization_id', true), '');
GRANT EXECUTE ON FUNCTION current_organization() TO millrace_app;

DO $$
DECLARE name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['meters', 'plans', 'plan_versions', 'customers', 'subscriptions', 'billing_runs', 'rated_lines', 'invoices', 'invoice_series',
    'idempotency_keys', 'audit_heads', 'audit_log'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('CREATE POLICY own_organization ON %I TO millrace_app USING (organization_id = (SELECT current_organization()))', name);
    EXECUTE format('CREATE POLICY every_organization ON %I TO millrace_worker USING (true)', name);
  END LOOP;
  FOREACH name IN ARRAY ARRAY['organizations', 'api_keys', 'data_keys', 'billing_run_shards', 'invoice_lines'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('CREATE POLICY every_organization ON %I TO millrace_worker USING (true)', name);
  END LOOP;
END $$;
CREATE POLICY own_organization ON organizations TO millrace_app
  USING (id = (SELECT current_organization()) OR sandbox_of = (SELECT current_organization()));
-- A key of the live world also keeps the keys of its sandbox, and seals their signing secrets.
CREATE POLICY own_organization ON data_keys TO millrace_app USING (organization_id IN (SELECT o.id FROM organizations o));
CREATE POLICY own_organization ON api_keys TO millrace_app USING (organization_id IN (SELECT o.id FROM organizations o));
CREATE POLICY own_organization ON billing_run_shards TO millrace_app USING (EXISTS (SELECT 1 FROM billing_runs r WHERE r.id = run_id));
CREATE POLICY own_organization ON invoice_lines TO millrace_app USING (EXISTS (SELECT 1 FROM invoices i WHERE i.id = invoice_id));

-- What has to be read before it is known for whom: who calls, by the keyed hash of a key.
CREATE FUNCTION find_api_key(wanted_hash bytea)
RETURNS TABLE (id text, key_hash bytea, organization_id text, scopes text[], expires_at timestamptz, revoked_at timestamptz, signing_secret bytea, tier text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
  SELECT k.id, k.key_hash, k.organization_id, k.scopes, k.expires_at, k.revoked_at, k.signing_secret, o.tier
  FROM api_keys k JOIN organizations o ON o.id = k.organization_id WHERE k.key_hash = wanted_hash
$$;
-- Says that keys were used; at most once a minute for each.
CREATE FUNCTION touch_api_keys(used_ids text[], used_at timestamptz)
RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
  UPDATE api_keys SET last_used_at = used_at WHERE id = ANY (used_ids) AND (last_used_at IS NULL OR last_used_at < used_at - interval '1 minute')
$$;
-- The wrapped data key of an organization; useless without the master key.
CREATE FUNCTION find_data_key(of_organization text, of_version integer)
RETURNS TABLE (master_key_id text, wrapped bytea)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
  SELECT d.master_key_id, d.wrapped FROM data_keys d WHERE d.organization_id = of_organization AND d.version = of_version
$$;
-- Forgets answers whose time is over; the API calls it now and then.
CREATE FUNCTION purge_idempotency_keys(now_is timestamptz)
RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
  WITH gone AS (
    DELETE FROM idempotency_keys WHERE (organization_id, key) IN (
      SELECT organization_id, key FROM idempotency_keys WHERE expires_at < now_is ORDER BY expires_at LIMIT 10000 FOR UPDATE SKIP LOCKED
    ) RETURNING 1
  ) SELECT count(*) FROM gone
$$;
DO $$ BEGIN EXECUTE format('REVOKE ALL ON ALL FUNCTIONS IN SCHEMA %I FROM PUBLIC', current_schema()); END $$;
GRANT EXECUTE ON FUNCTION find_api_key(bytea), touch_api_keys(text[], timestamptz), find_data_key(text, integer) TO millrace_app, millrace_gateway;
GRANT EXECUTE ON FUNCTION purge_idempotency_keys(timestamptz) TO millrace_app;
