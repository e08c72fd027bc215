-- A month's end writes billing periods and invoices by the ten thousand. What a key checked of each of their rows, and locked, is checked once a statement: none of
-- the rows that they name is ever deleted. Each look-up is by one id alone: with an organization beside it, a plan that was made while the table was empty goes by
-- the index of the organization, and reads all of it for each row.

-- A billing period is of a subscription of its customer, to a version of a plan, and billed to somebody, all of one organization; one that is billed has its invoice.
CREATE FUNCTION refuse_period_of_nothing() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (
    SELECT 1 FROM new_periods n WHERE (SELECT s.customer_id FROM subscriptions s WHERE s.id = n.subscription_id) IS DISTINCT FROM n.customer_id
      OR (SELECT c.organization_id FROM customers c WHERE c.id = n.customer_id) IS DISTINCT FROM n.organization_id
      OR (SELECT v.organization_id FROM plan_versions v WHERE v.id = n.plan_version_id) IS DISTINCT FROM n.organization_id
      OR (n.payer_id <> n.customer_id
        AND (SELECT c.organization_id FROM customers c WHERE c.id = n.payer_id) IS DISTINCT FROM n.organization_id)
      OR (n.invoice_id IS NOT NULL
        AND (SELECT i.organization_id FROM invoices i WHERE i.id = n.invoice_id) IS DISTINCT FROM n.organization_id)
  ) THEN
    RAISE EXCEPTION 'billing_periods: % refused: there is no such subscription, plan version, customer or invoice', TG_OP USING ERRCODE = 'foreign_key_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER of_its_subscription AFTER INSERT ON billing_periods
  REFERENCING NEW TABLE AS new_periods FOR EACH STATEMENT EXECUTE FUNCTION refuse_period_of_nothing();

-- Nothing else of these moves: `stays`.
CREATE FUNCTION refuse_period_of_no_invoice() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (
    SELECT 1 FROM new_periods n WHERE n.invoice_id IS NOT NULL
      AND (SELECT i.organization_id FROM invoices i WHERE i.id = n.invoice_id) IS DISTINCT FROM n.organization_id
  ) THEN
    RAISE EXCEPTION 'billing_periods: % refused: there is no such invoice', TG_OP USING ERRCODE = 'foreign_key_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER of_its_invoice AFTER UPDATE ON billing_periods
  REFERENCING NEW TABLE AS new_periods FOR EACH STATEMENT EXECUTE FUNCTION refuse_period_of_no_invoice();
ALTER TABLE billing_periods
  DROP CONSTRAINT billing_periods_organization_id_subscription_id_fkey,
  DROP CONSTRAINT billing_periods_organization_id_customer_id_fkey,
  DROP CONSTRAINT billing_periods_organization_id_payer_id_fkey,
  DROP CONSTRAINT billing_periods_organization_id_plan_version_id_fkey,
  DROP CONSTRAINT billing_periods_invoice_id_fkey;

-- An invoice is of a customer, and of the run that it came of.
CREATE FUNCTION refuse_invoice_of_nobody() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (
    SELECT 1 FROM new_invoices n WHERE (SELECT c.organization_id FROM customers c WHERE c.id = n.customer_id) IS DISTINCT FROM n.organization_id
      OR (n.run_id IS NOT NULL
        AND (SELECT r.organization_id FROM billing_runs r WHERE r.id = n.run_id) IS DISTINCT FROM n.organization_id)
  ) THEN
    RAISE EXCEPTION 'invoices: INSERT refused: there is no such customer or run' USING ERRCODE = 'foreign_key_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER of_its_customer AFTER INSERT ON invoices
  REFERENCING NEW TABLE AS new_invoices FOR EACH STATEMENT EXECUTE FUNCTION refuse_invoice_of_nobody();
ALTER TABLE invoices
  DROP CONSTRAINT invoices_organization_id_customer_id_fkey,
  DROP CONSTRAINT invoices_organization_id_run_id_fkey;

DO $$
DECLARE
  made text;
BEGIN
  FOREACH made IN ARRAY '{refuse_period_of_nothing,refuse_period_of_no_invoice,refuse_invoice_of_nobody}'::text[] LOOP
    EXECUTE format('ALTER FUNCTION %I() SET search_path = %I, pg_temp', made, current_schema());
    EXECUTE format('REVOKE ALL ON FUNCTION %I() FROM PUBLIC', made);
  END LOOP;
END $$;

-- Whose a line is, is looked up by its invoice. Without OFFSET all invoices of the organization are read and hashed for the lines of one.
ALTER POLICY own_organization ON invoice_lines USING (EXISTS (SELECT 1 FROM invoices i WHERE i.id = invoice_lines.invoice_id OFFSET 0));
