-- What is checked of rows that come by the ten thousand is checked once a statement, or by PostgreSQL without a function.

-- Of a billing period only what moves may be named by an update, and nothing once it is billed.
CREATE OR REPLACE FUNCTION refuse_change_of_billed_period() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'billing_periods: % refused: a period is billed once, and never moves', TG_OP USING ERRCODE = 'restrict_violation';
END $$;
DROP TRIGGER stays ON billing_periods;
DO $$
DECLARE
  kept text;
BEGIN
  SELECT string_agg(quote_ident(attname), ', ') INTO STRICT kept FROM pg_attribute
  WHERE attrelid = 'billing_periods'::regclass AND attnum > 0 AND NOT attisdropped
    AND attname <> ALL ('{state,watermark,invoice_id,draft_id}');
  EXECUTE format('CREATE TRIGGER stays BEFORE UPDATE OF %s ON billing_periods FOR EACH ROW EXECUTE FUNCTION refuse_change_of_billed_period()', kept);
  EXECUTE format('ALTER FUNCTION refuse_change_of_billed_period() SET search_path = %I, pg_temp', current_schema());
END $$;
CREATE TRIGGER stays_billed BEFORE UPDATE ON billing_periods FOR EACH ROW WHEN (OLD.state = 'billed')
  EXECUTE FUNCTION refuse_change_of_billed_period();
CREATE TRIGGER stays_there BEFORE DELETE ON billing_periods FOR EACH ROW EXECUTE FUNCTION refuse_change_of_billed_period();

-- A line comes with its invoice: with one that its own transaction made.
CREATE OR REPLACE FUNCTION refuse_late_line() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (
    SELECT 1 FROM new_lines l WHERE NOT EXISTS (
      SELECT 1 FROM invoices i WHERE i.id = l.invoice_id AND i.xmin = pg_current_xact_id()::xid OFFSET 0)
  ) THEN
    RAISE EXCEPTION 'invoice_lines of an issued invoice are immutable: INSERT refused' USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NULL;
END $$;
ALTER TABLE invoice_lines DROP CONSTRAINT invoice_lines_invoice_id_fkey;

-- A rated line is of a billing period that is there, with the organization, subscription and plan version of it.
CREATE FUNCTION refuse_line_of_no_period() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (
    SELECT 1 FROM new_lines l WHERE NOT EXISTS (
      SELECT 1 FROM billing_periods p WHERE p.id = l.billing_period_id AND p.organization_id = l.organization_id
        AND p.subscription_id = l.subscription_id AND p.plan_version_id = l.plan_version_id OFFSET 0)
  ) THEN
    RAISE EXCEPTION 'rated_lines: INSERT refused: there is no such billing period' USING ERRCODE = 'foreign_key_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER of_its_period AFTER INSERT ON rated_lines
  REFERENCING NEW TABLE AS new_lines FOR EACH STATEMENT EXECUTE FUNCTION refuse_line_of_no_period();
ALTER TABLE rated_lines DROP CONSTRAINT rated_lines_billing_period_id_organization_id_subscription_fkey;
ALTER TABLE billing_periods DROP CONSTRAINT billing_periods_of_lines;
DO $$ BEGIN
  EXECUTE format('ALTER FUNCTION refuse_late_line() SET search_path = %I, pg_temp', current_schema());
  EXECUTE format('ALTER FUNCTION refuse_line_of_no_period() SET search_path = %I, pg_temp', current_schema());
  EXECUTE 'REVOKE ALL ON FUNCTION refuse_line_of_no_period() FROM PUBLIC';
END $$;

-- An entry moves the head of its organization, an invoice is of a customer of it, and a document is made of a customer's row.
ALTER TABLE audit_log DROP CONSTRAINT audit_log_organization_id_fkey;
ALTER TABLE outbox DROP CONSTRAINT outbox_organization_id_fkey;
ALTER TABLE invoices DROP CONSTRAINT invoices_organization_id_fkey;
ALTER TABLE invoice_documents DROP CONSTRAINT invoice_documents_organization_id_customer_id_fkey;

-- Of what was issued in content version 1.
ALTER TABLE invoices DROP CONSTRAINT invoices_once_per_period;
CREATE UNIQUE INDEX invoices_once_per_period ON invoices (subscription_id, period_start, period_end, kind) WHERE subscription_id IS NOT NULL;

-- A subscription is to a version of a plan that was activated, which one look says; its customer says the organization.
CREATE FUNCTION refuse_version() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  is_draft boolean;
  is_plan boolean;
BEGIN
  SELECT v.state = 'draft', p.kind = 'plan' INTO is_draft, is_plan
  FROM plan_versions v JOIN plans p ON p.id = v.plan_id WHERE v.id = NEW.plan_version_id;
  IF is_draft THEN
    RAISE EXCEPTION 'subscriptions refuses the draft of a plan version' USING ERRCODE = 'restrict_violation';
  ELSIF NOT is_plan THEN
    RAISE EXCEPTION 'subscriptions refuses an add-on' USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$;
DROP TRIGGER to_no_draft ON subscriptions;
DROP TRIGGER to_no_add_on ON subscriptions;
DROP FUNCTION refuse_draft();
DROP FUNCTION refuse_add_on();
CREATE TRIGGER to_active_plan BEFORE INSERT OR UPDATE OF plan_version_id ON subscriptions FOR EACH ROW EXECUTE FUNCTION refuse_version();
DO $$ BEGIN
  EXECUTE format('ALTER FUNCTION refuse_version() SET search_path = %I, pg_temp', current_schema());
  EXECUTE 'REVOKE ALL ON FUNCTION refuse_version() FROM PUBLIC';
END $$;
ALTER TABLE subscriptions DROP CONSTRAINT subscriptions_organization_id_fkey;
