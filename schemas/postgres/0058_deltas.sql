-- Usage that comes late for a billed period, or is amended in one, is billed as a delta: a row that corrects the period, of the same time, plan version and payer. It is
-- rated whole at its own watermark, and its lines are what that differs by from what was billed of the period so far.
ALTER TABLE billing_periods
  DROP CONSTRAINT billing_periods_timing_check,
  ADD CONSTRAINT billing_periods_timing_check CHECK (timing IN ('arrears', 'advance', 'credit', 'once', 'delta')),
  -- The period that was billed first; never another delta.
  ADD COLUMN corrects_id text REFERENCES billing_periods,
  -- From 1, in the order of their watermarks.
  ADD COLUMN correction  integer CHECK (correction > 0),
  -- What its plan version says of late usage.
  ADD COLUMN late_usage  text CHECK (late_usage IN ('bill_next', 'credit_note', 'report_only')),
  ADD CONSTRAINT billing_periods_delta CHECK (num_nonnulls(corrects_id, correction, late_usage) = CASE WHEN timing = 'delta' THEN 3 ELSE 0 END) NOT VALID;

-- A delta may end without an invoice: where nothing is due for it, and where it is only reported.
DO $$
DECLARE name text;
BEGIN
  FOR name IN SELECT conname FROM pg_constraint WHERE conrelid = 'billing_periods'::regclass AND contype = 'c'
    AND (pg_get_constraintdef(oid) LIKE '%watermark IS NOT NULL%' OR pg_get_constraintdef(oid) LIKE '%(invoice_id IS NOT NULL)%' OR conname = 'billing_periods_state_check')
  LOOP
    EXECUTE format('ALTER TABLE billing_periods DROP CONSTRAINT %I', name);
  END LOOP;
END $$;
ALTER TABLE billing_periods
  ADD CONSTRAINT billing_periods_state_check CHECK (state IN ('open', 'billed', 'unchanged', 'reported')) NOT VALID,
  ADD CONSTRAINT billing_periods_watermark CHECK ((watermark IS NOT NULL) = (state <> 'open')) NOT VALID,
  ADD CONSTRAINT billing_periods_invoice CHECK ((invoice_id IS NOT NULL) = (state = 'billed')) NOT VALID,
  ADD CONSTRAINT billing_periods_without_invoice CHECK (state IN ('open', 'billed') OR timing = 'delta') NOT VALID;

DROP INDEX billing_periods_once;
CREATE UNIQUE INDEX billing_periods_once ON billing_periods
  (subscription_id, billing_end, span_start, item, timing, coalesce(interval_unit, ''), coalesce(interval_count, 0), coalesce(counted, false), coalesce(correction, 0));
-- One of them is open at most: what comes while it waits comes into it.
CREATE UNIQUE INDEX billing_periods_open_delta ON billing_periods (corrects_id) WHERE state = 'open' AND corrects_id IS NOT NULL;
CREATE UNIQUE INDEX billing_periods_corrections ON billing_periods (corrects_id, correction) WHERE corrects_id IS NOT NULL;
-- In the order in which they are listed.
CREATE INDEX billing_periods_deltas ON billing_periods (organization_id, created_at, id) WHERE timing = 'delta';
-- Up to when usage is billed.
CREATE INDEX billing_periods_billed_until ON billing_periods (organization_id, span_end) WHERE state = 'billed' AND timing = 'arrears';

-- What a delta corrects never moves either, and one that is settled stays as it is.
DROP TRIGGER stays ON billing_periods;
DO $$
DECLARE
  kept text;
BEGIN
  SELECT string_agg(quote_ident(attname), ', ') INTO STRICT kept FROM pg_attribute
  WHERE attrelid = 'billing_periods'::regclass AND attnum > 0 AND NOT attisdropped
    AND attname <> ALL ('{state,watermark,invoice_id,draft_id}');
  EXECUTE format('CREATE TRIGGER stays BEFORE UPDATE OF %s ON billing_periods FOR EACH ROW EXECUTE FUNCTION refuse_change_of_billed_period()', kept);
END $$;
DROP TRIGGER stays_billed ON billing_periods;
CREATE TRIGGER stays_billed BEFORE UPDATE ON billing_periods FOR EACH ROW WHEN (OLD.state <> 'open')
  EXECUTE FUNCTION refuse_change_of_billed_period();

-- Billed periods for which usage came, or was amended, behind their watermark, until a run cuts a delta of them.
CREATE TABLE late_periods (
  billing_period_id text PRIMARY KEY REFERENCES billing_periods,
  organization_id   text NOT NULL REFERENCES organizations,
  found_at          timestamptz NOT NULL
);
CREATE INDEX late_periods_by_time ON late_periods (organization_id, found_at, billing_period_id);

-- Up to which sequence of the stream late usage was looked for.
CREATE TABLE late_usage_looks (
  organization_id text PRIMARY KEY REFERENCES organizations,
  looked_sequence bigint NOT NULL,
  looked_at       timestamptz NOT NULL
);
CREATE INDEX amendments_by_sequence ON amendments (organization_id, stream_sequence) WHERE stream_sequence IS NOT NULL;

-- A line of a delta says what it differs from.
ALTER TABLE invoice_lines
  DROP CONSTRAINT invoice_lines_kind_check,
  ADD CONSTRAINT invoice_lines_kind_check CHECK (kind IN ('charge', 'item', 'delta')) NOT VALID,
  ADD COLUMN corrects json,
  ADD CONSTRAINT invoice_lines_corrects CHECK ((corrects IS NOT NULL) = (kind IS NOT DISTINCT FROM 'delta')) NOT VALID;

GRANT SELECT ON late_periods, late_usage_looks TO millrace_app;
GRANT SELECT, INSERT, DELETE, UPDATE ON late_periods TO millrace_worker;
GRANT SELECT, INSERT, UPDATE ON late_usage_looks TO millrace_worker;
DO $$
DECLARE name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['late_periods', 'late_usage_looks'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('CREATE POLICY own_organization ON %I TO millrace_app USING (organization_id = (SELECT current_organization()))', name);
    EXECUTE format('CREATE POLICY every_organization ON %I TO millrace_worker USING (true)', name);
  END LOOP;
END $$;
