-- Drafts of invoices: what is closed waits for a while as a draft, into which late events still come, before it is issued; and invoices that are made by hand.
ALTER TABLE organizations
  -- How long a draft of what was closed waits before it is finalized by itself; 0 issues at once.
  ADD COLUMN draft_minutes integer NOT NULL DEFAULT 0 CHECK (draft_minutes BETWEEN 0 AND 44640);
GRANT UPDATE (draft_minutes) ON organizations TO millrace_app;

CREATE TABLE invoice_drafts (
  -- That of the invoice that is issued from it.
  id              text PRIMARY KEY,
  organization_id text NOT NULL REFERENCES organizations,
  kind            text NOT NULL CHECK (kind IN ('period', 'one_off')),
  state           text NOT NULL CHECK (state IN ('draft', 'issued', 'deleted')),
  -- Who is billed.
  customer_id     text NOT NULL,
  currency        text NOT NULL,
  -- Null: when somebody asks for it.
  finalize_at     timestamptz,
  -- What it says beside its lines, where that is not what the customer has: memo, purchase_order, custom_fields.
  overrides       jsonb NOT NULL,
  -- Of a one-off invoice; one of billing periods has the lines that these are rated to.
  lines           json,
  line_count      integer NOT NULL,
  -- As they were computed last; of a one-off invoice they are what is issued.
  subtotal        numeric NOT NULL,
  -- Summed up, as on an invoice.
  taxes           json NOT NULL,
  computed_at     timestamptz NOT NULL,
  -- At which it was rated then.
  watermark       bigint CHECK ((watermark IS NOT NULL) = (kind = 'period')),
  -- The rated lines of then, where they are too many to be computed while somebody waits.
  computed_lines  json,
  -- How often it was put off, as nothing of it could be rated.
  postponed       integer NOT NULL DEFAULT 0,
  test_clock_id   text,
  -- The run that finalizes it, or tried to.
  run_id          text,
  metadata        jsonb NOT NULL,
  version         integer NOT NULL,
  created_at      timestamptz NOT NULL,
  updated_at      timestamptz NOT NULL,
  UNIQUE (organization_id, id),
  FOREIGN KEY (organization_id, customer_id) REFERENCES customers (organization_id, id),
  FOREIGN KEY (organization_id, test_clock_id) REFERENCES test_clocks (organization_id, id),
  FOREIGN KEY (organization_id, run_id) REFERENCES billing_runs (organization_id, id),
  CHECK ((lines IS NOT NULL) = (kind = 'one_off')),
  CHECK (kind = 'one_off' OR finalize_at IS NOT NULL),
  CHECK (kind = 'one_off' OR state <> 'deleted')
);
CREATE INDEX invoice_drafts_by_creation ON invoice_drafts (organization_id, created_at DESC, id DESC) WHERE state = 'draft';
CREATE INDEX invoice_drafts_by_customer ON invoice_drafts (customer_id, created_at DESC, id DESC) WHERE state = 'draft';
-- Those that are finalized by themselves.
CREATE INDEX invoice_drafts_waiting ON invoice_drafts (organization_id, finalize_at) WHERE state = 'draft' AND test_clock_id IS NULL;
CREATE INDEX invoice_drafts_by_time ON invoice_drafts (finalize_at) WHERE state = 'draft' AND test_clock_id IS NULL;
CREATE INDEX invoice_drafts_by_clock ON invoice_drafts (test_clock_id, finalize_at) WHERE state = 'draft' AND test_clock_id IS NOT NULL;

-- What was issued or deleted stays as it was.
CREATE FUNCTION refuse_change_of_ended_draft() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND OLD.state = 'draft' THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'invoice_drafts: % refused: it is % and stays so', TG_OP, OLD.state USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER stays BEFORE UPDATE OR DELETE ON invoice_drafts FOR EACH ROW EXECUTE FUNCTION refuse_change_of_ended_draft();
CREATE TRIGGER immutable BEFORE TRUNCATE ON invoice_drafts FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

GRANT SELECT, INSERT ON invoice_drafts TO millrace_app, millrace_worker;
GRANT UPDATE (state, finalize_at, overrides, run_id, metadata, version, updated_at) ON invoice_drafts TO millrace_app;
GRANT UPDATE (state, finalize_at, computed_lines, postponed, run_id, version, updated_at) ON invoice_drafts TO millrace_worker;
ALTER TABLE invoice_drafts ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_organization ON invoice_drafts TO millrace_app USING (organization_id = (SELECT current_organization()))
  WITH CHECK (organization_id = (SELECT current_organization()));
CREATE POLICY every_organization ON invoice_drafts TO millrace_worker USING (true);

-- A billing period in a draft is open, and no other run takes it.
ALTER TABLE billing_periods ADD COLUMN draft_id text REFERENCES invoice_drafts;
ALTER TABLE billing_periods ADD CONSTRAINT billing_periods_as_drafted CHECK (invoice_id IS NULL OR draft_id IS NULL OR draft_id = invoice_id) NOT VALID;
CREATE INDEX billing_periods_by_draft ON billing_periods (draft_id) WHERE draft_id IS NOT NULL;
DROP INDEX billing_periods_open;
CREATE INDEX billing_periods_open ON billing_periods (organization_id, due_at) WHERE state = 'open' AND draft_id IS NULL;
CREATE OR REPLACE FUNCTION refuse_change_of_billed_period() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  moves text[] := '{state,watermark,invoice_id,draft_id}';
BEGIN
  IF TG_OP = 'DELETE' OR OLD.state = 'billed' OR (to_jsonb(NEW) - moves) <> (to_jsonb(OLD) - moves) THEN
    RAISE EXCEPTION 'billing_periods: % refused: a period is billed once, and never moves', TG_OP USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$;
DO $$ BEGIN
  EXECUTE format('ALTER FUNCTION refuse_change_of_billed_period() SET search_path = %I, pg_temp', current_schema());
  EXECUTE format('ALTER FUNCTION refuse_change_of_ended_draft() SET search_path = %I, pg_temp', current_schema());
  EXECUTE 'REVOKE ALL ON FUNCTION refuse_change_of_ended_draft() FROM PUBLIC';
END $$;

ALTER TABLE billing_runs
  -- The one draft that a caller has finalized.
  ADD COLUMN draft_id    text,
  -- Whether it cuts no time: it finalizes drafts, and nothing else.
  ADD COLUMN drafts_only boolean NOT NULL DEFAULT false,
  ADD FOREIGN KEY (organization_id, draft_id) REFERENCES invoice_drafts (organization_id, id),
  ADD CONSTRAINT billing_runs_of_draft CHECK (draft_id IS NULL OR drafts_only),
  DROP CONSTRAINT billing_runs_of_clock,
  ADD CONSTRAINT billing_runs_of_clock CHECK ((test_clock_id IS NOT NULL) = (asked_by = 'clock') OR (asked_by = 'caller' AND draft_id IS NOT NULL));
DROP INDEX billing_runs_one_of_clock;
CREATE UNIQUE INDEX billing_runs_one_of_clock ON billing_runs (test_clock_id) WHERE asked_by = 'clock' AND state IN ('queued', 'running');

ALTER TABLE billing_run_shards
  -- The drafts that it finalizes; its billing periods are theirs.
  ADD COLUMN draft_ids text[] NOT NULL DEFAULT '{}',
  -- Whether drafts are made of it in place of invoices, as the organization had it when it was cut.
  ADD COLUMN makes_drafts boolean NOT NULL DEFAULT false,
  -- The rated lines for these drafts, until they are made: they are shown, and bind nobody.
  ADD COLUMN draft_lines json CHECK (draft_lines IS NULL OR makes_drafts),
  -- How many drafts were made of it.
  ADD COLUMN drafted   integer NOT NULL DEFAULT 0;

-- Whoever lets a draft go earlier than the next look: it is woken, and decides by what stands.
CREATE TRIGGER wakes_closing AFTER UPDATE OF finalize_at ON invoice_drafts FOR EACH ROW
  WHEN (NEW.test_clock_id IS NULL AND NEW.state = 'draft' AND NEW.finalize_at < OLD.finalize_at)
  EXECUTE FUNCTION wake_closing('organization_id');
