-- Closing by itself: an organization may have what is due of it billed without anybody asking for it.
ALTER TABLE organizations
  ADD COLUMN closing_automatic     boolean NOT NULL DEFAULT false,
  -- How long after the end of usage in arrears its late events are waited for.
  ADD COLUMN closing_grace_minutes integer NOT NULL DEFAULT 60 CHECK (closing_grace_minutes BETWEEN 0 AND 10080);
GRANT UPDATE (closing_automatic, closing_grace_minutes) ON organizations TO millrace_app;
-- Those that are looked at each minute.
CREATE INDEX organizations_closing ON organizations (id) WHERE closing_automatic;

-- A run is of a month, or of what is due, which has no month.
ALTER TABLE billing_runs
  ALTER COLUMN period_start DROP NOT NULL,
  ALTER COLUMN period_end DROP NOT NULL,
  ADD COLUMN asked_by text NOT NULL DEFAULT 'caller' CHECK (asked_by IN ('caller', 'scheduler')),
  -- How many subscriptions it cuts at most, those first that wait the longest; the others are left to the next run.
  ADD COLUMN subscriptions_max integer CHECK (subscriptions_max > 0),
  ADD CONSTRAINT billing_runs_of CHECK (num_nulls(period_start, period_end) = CASE WHEN due_until IS NULL THEN 0 ELSE 2 END);
-- The scheduler never has two of an organization under way, whoever of how many processes asks.
CREATE UNIQUE INDEX billing_runs_one_scheduled ON billing_runs (organization_id) WHERE asked_by = 'scheduler' AND state IN ('queued', 'running');
-- How its last ones ended.
CREATE INDEX billing_runs_scheduled ON billing_runs (organization_id, created_at, id) WHERE asked_by = 'scheduler';
CREATE INDEX billing_runs_billing ON billing_runs (organization_id, created_at, id) WHERE kind = 'billing';
GRANT INSERT ON billing_runs TO millrace_worker;

-- Whoever waits for it is woken in the very transaction: by a job of the queue, one for each organization, as `job_key` says. It only has somebody look; what is due
-- stands in the tables of billing alone. The argument is the column that names the organization.
CREATE FUNCTION wake_closing() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE of_organization text := to_jsonb(NEW) ->> TG_ARGV[0];
BEGIN
  PERFORM graphile_worker.add_job('close_due', json_build_object('organization_id', of_organization), job_key => 'close_due ' || of_organization);
  RETURN NULL;
END $$;
DO $$ BEGIN
  EXECUTE format('ALTER FUNCTION wake_closing() SET search_path = %I, pg_temp', current_schema());
  EXECUTE 'REVOKE ALL ON FUNCTION wake_closing() FROM PUBLIC';
END $$;
CREATE TRIGGER wakes_closing AFTER UPDATE OF closing_automatic, closing_grace_minutes ON organizations FOR EACH ROW
  WHEN (NEW.closing_automatic AND (NOT OLD.closing_automatic OR NEW.closing_grace_minutes <> OLD.closing_grace_minutes))
  EXECUTE FUNCTION wake_closing('id');
-- What is still due, or due meanwhile, is taken by the next one at once.
CREATE TRIGGER wakes_closing AFTER UPDATE OF state ON billing_runs FOR EACH ROW
  WHEN (NEW.asked_by = 'scheduler' AND NEW.state IN ('completed', 'failed') AND OLD.state IN ('queued', 'running'))
  EXECUTE FUNCTION wake_closing('organization_id');
