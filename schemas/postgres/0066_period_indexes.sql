-- A billing period that is billed is written into each of its indexes again. Up to when something is billed, by how it is charged for, is told by one of them; none is
-- asked for billing periods by when they began.
DROP INDEX billing_periods_by_billing, billing_periods_billed_until;
CREATE INDEX billing_periods_billed_until ON billing_periods (organization_id, timing, span_end) WHERE state = 'billed';

-- An invoice is looked for once, and not for each of its lines.
CREATE OR REPLACE FUNCTION refuse_late_line() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (
    SELECT 1 FROM (SELECT DISTINCT n.invoice_id FROM new_lines n) l WHERE NOT EXISTS (
      SELECT 1 FROM invoices i WHERE i.id = l.invoice_id AND i.xmin = pg_current_xact_id()::xid OFFSET 0)
  ) THEN
    RAISE EXCEPTION 'invoice_lines of an issued invoice are immutable: INSERT refused' USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NULL;
END $$;
-- A billing period, too, is looked for once and not for each of its rated lines.
CREATE OR REPLACE FUNCTION refuse_line_of_no_period() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (
    SELECT 1 FROM (SELECT DISTINCT n.billing_period_id, n.organization_id, n.subscription_id, n.plan_version_id FROM new_lines n) l
    WHERE NOT EXISTS (
      SELECT 1 FROM billing_periods p WHERE p.id = l.billing_period_id AND p.organization_id = l.organization_id
        AND p.subscription_id = l.subscription_id AND p.plan_version_id = l.plan_version_id OFFSET 0)
  ) THEN
    RAISE EXCEPTION 'rated_lines: INSERT refused: there is no such billing period' USING ERRCODE = 'foreign_key_violation';
  END IF;
  RETURN NULL;
END $$;
DO $$ BEGIN
  EXECUTE format('ALTER FUNCTION refuse_late_line() SET search_path = %I, pg_temp', current_schema());
  EXECUTE format('ALTER FUNCTION refuse_line_of_no_period() SET search_path = %I, pg_temp', current_schema());
END $$;
