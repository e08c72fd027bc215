-- Migrations of plans: all subscriptions that have some versions of a plan change to a version of it or of another one. Each change is that of change-plan, in a
-- transaction of its own with its outcome; whoever works on a migration holds its lease, and what it has done stands in the outcomes.
CREATE TABLE plan_migrations (
  id                text PRIMARY KEY,
  organization_id   text NOT NULL REFERENCES organizations,
  plan_id           text NOT NULL,
  -- Null is every version but the one that is moved to; the ids are those of the moment of the request.
  from_version      integer,
  from_version_ids  text[] NOT NULL CHECK (cardinality(from_version_ids) > 0),
  to_plan_id        text NOT NULL,
  to_version_id     text NOT NULL,
  -- From when on each change holds, and when what was charged in advance is put right.
  at                text NOT NULL CHECK (at IN ('now', 'period_end')),
  bills             text NOT NULL CHECK (bills IN ('now', 'next')),
  -- Null is everyone's, and any currency.
  customer_ids      text[],
  currency          text,
  -- Nobody is moved before; null is at once.
  starts_at         timestamptz,
  state             text NOT NULL CHECK (state IN ('queued', 'running', 'paused', 'completed', 'canceled')),
  -- How many there were to move when it was asked for; more may have come since.
  total             integer NOT NULL,
  moved             integer NOT NULL DEFAULT 0,
  scheduled         integer NOT NULL DEFAULT 0,
  failed            integer NOT NULL DEFAULT 0,
  -- How many, by reason.
  skipped           jsonb NOT NULL DEFAULT '{}',
  -- Those up to this subscription have been looked at.
  seen_until        text NOT NULL DEFAULT '',
  -- Since when it goes on without a pause, and how many were done by then: its speed.
  running_since     timestamptz,
  done_before       integer NOT NULL DEFAULT 0,
  started_at        timestamptz,
  ended_at          timestamptz CHECK ((ended_at IS NOT NULL) = (state IN ('completed', 'canceled'))),
  -- Why it stopped by itself; while it runs, the words of its last fault.
  failure           text,
  leased_until      timestamptz,
  -- Names the lease: whoever has an earlier one changes nothing.
  leases            integer NOT NULL DEFAULT 0,
  -- How often it was taken and not given back since.
  attempts          integer NOT NULL DEFAULT 0,
  version           integer NOT NULL,
  created_at        timestamptz NOT NULL,
  updated_at        timestamptz NOT NULL,
  request_id        text NOT NULL,
  api_key_id        text NOT NULL,
  UNIQUE (organization_id, id),
  FOREIGN KEY (organization_id, plan_id) REFERENCES plans (organization_id, id),
  FOREIGN KEY (organization_id, to_plan_id) REFERENCES plans (organization_id, id),
  FOREIGN KEY (organization_id, to_version_id) REFERENCES plan_versions (organization_id, id)
);
CREATE INDEX plan_migrations_by_plan ON plan_migrations (organization_id, plan_id, created_at DESC, id DESC);
-- Of a plan one is under way at a time, whoever asks at the same moment.
CREATE UNIQUE INDEX plan_migrations_one_of_plan ON plan_migrations (organization_id, plan_id) WHERE state IN ('queued', 'running', 'paused');
CREATE INDEX plan_migrations_waiting ON plan_migrations (leased_until NULLS FIRST, id) WHERE state IN ('queued', 'running');
CREATE INDEX plan_migrations_to_version ON plan_migrations (to_version_id);

-- What became of each subscription: once per migration, with its change in one transaction.
CREATE TABLE plan_migration_outcomes (
  organization_id text NOT NULL,
  migration_id    text NOT NULL,
  subscription_id text NOT NULL,
  customer_id     text NOT NULL,
  -- What holds of it was changed; what comes was; nothing was, by a rule; nothing was, by a fault.
  outcome         text NOT NULL CHECK (outcome IN ('moved', 'scheduled', 'skipped', 'failed')),
  reason          text CHECK ((reason IS NOT NULL) = (outcome = 'skipped')),
  detail          text,
  from_version_id text NOT NULL,
  change_id       text CHECK ((change_id IS NOT NULL) = (outcome IN ('moved', 'scheduled'))),
  effective_at    timestamptz CHECK ((effective_at IS NOT NULL) = (change_id IS NOT NULL)),
  created_at      timestamptz NOT NULL,
  PRIMARY KEY (migration_id, subscription_id),
  FOREIGN KEY (organization_id, migration_id) REFERENCES plan_migrations (organization_id, id),
  FOREIGN KEY (organization_id, subscription_id) REFERENCES subscriptions (organization_id, id)
);
CREATE INDEX plan_migration_outcomes_by_time ON plan_migration_outcomes (migration_id, created_at, subscription_id);
CREATE INDEX plan_migration_outcomes_by_outcome ON plan_migration_outcomes (migration_id, outcome, created_at, subscription_id);
CREATE INDEX plan_migration_outcomes_by_subscription ON plan_migration_outcomes (organization_id, subscription_id);
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON plan_migration_outcomes FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Whose subscriptions have a version is asked in pages, in the order of their ids.
CREATE INDEX subscriptions_by_plan_version ON subscriptions (plan_version_id, id);
CREATE INDEX subscription_changes_to_plan ON subscription_changes (plan_version_id, subscription_id) WHERE kind = 'plan' AND undone_at IS NULL;

-- Which migrations can be worked on, which has to be read before it is known for whom; the rest is read as that organization.
CREATE FUNCTION plan_migrations_waiting() RETURNS TABLE (organization_id text, id text) LANGUAGE sql SECURITY DEFINER AS $$
  SELECT m.organization_id, m.id FROM plan_migrations m
  WHERE m.state IN ('queued', 'running') AND (m.leased_until IS NULL OR m.leased_until < clock_timestamp())
  ORDER BY m.leased_until NULLS FIRST, m.id LIMIT 10
$$;
DO $$ BEGIN
  EXECUTE format('ALTER FUNCTION plan_migrations_waiting() SET search_path = %I, pg_temp', current_schema());
  EXECUTE 'REVOKE ALL ON FUNCTION plan_migrations_waiting() FROM PUBLIC';
END $$;
GRANT EXECUTE ON FUNCTION plan_migrations_waiting() TO millrace_app;

GRANT SELECT, INSERT, UPDATE ON plan_migrations TO millrace_app;
GRANT SELECT, INSERT ON plan_migration_outcomes TO millrace_app;
GRANT SELECT ON plan_migrations, plan_migration_outcomes TO millrace_worker;
DO $$
DECLARE name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['plan_migrations', 'plan_migration_outcomes'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('CREATE POLICY own_organization ON %I TO millrace_app USING (organization_id = (SELECT current_organization()))', name);
    EXECUTE format('CREATE POLICY every_organization ON %I TO millrace_worker USING (true)', name);
  END LOOP;
END $$;
