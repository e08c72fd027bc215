-- Minimum amounts of invoices: what of a payer falls due for less waits for the next invoice of the same payer, unbilled.
ALTER TABLE organizations
  -- By currency, such as {"USD": "10.00"}; null and what is not in it has none.
  ADD COLUMN minimum_invoice_amounts jsonb CHECK (jsonb_typeof(minimum_invoice_amounts) = 'object');
ALTER TABLE customers
  -- In place of those of the organization, currency by currency; "0.00" is none.
  ADD COLUMN minimum_invoice_amounts jsonb CHECK (jsonb_typeof(minimum_invoice_amounts) = 'object');
GRANT UPDATE (minimum_invoice_amounts) ON organizations TO millrace_app;

ALTER TABLE billing_periods
  -- Since when it waits for the next invoice; null while it does not. It is open meanwhile.
  ADD COLUMN carried_at     timestamptz,
  -- When it fell due first, where it was carried over.
  ADD COLUMN carried_from   timestamptz,
  -- Whether it is billed now, whatever the invoice comes to.
  ADD COLUMN is_last_carry  boolean NOT NULL DEFAULT false,
  ADD CONSTRAINT billing_periods_carried CHECK (carried_at IS NULL OR (state = 'open' AND draft_id IS NULL AND carried_from IS NOT NULL)) NOT VALID;
DROP INDEX billing_periods_open;
CREATE INDEX billing_periods_open ON billing_periods (organization_id, due_at) WHERE state = 'open' AND draft_id IS NULL AND carried_at IS NULL;
CREATE INDEX billing_periods_carried ON billing_periods (organization_id, carried_from) WHERE carried_at IS NOT NULL;
CREATE INDEX billing_periods_carried_by_payer ON billing_periods (payer_id) WHERE carried_at IS NOT NULL;
CREATE INDEX billing_periods_carried_by_subscription ON billing_periods (subscription_id) WHERE carried_at IS NOT NULL;

-- A billing period that was carried over falls due with the invoice that takes it; nothing else of any moves.
DROP TRIGGER stays ON billing_periods;
DO $$
DECLARE
  kept text;
BEGIN
  SELECT string_agg(quote_ident(attname), ', ') INTO STRICT kept FROM pg_attribute
  WHERE attrelid = 'billing_periods'::regclass AND attnum > 0 AND NOT attisdropped
    AND attname <> ALL ('{state,watermark,invoice_id,draft_id,carried_at,carried_from,is_last_carry,due_at,billing_month}');
  EXECUTE format('CREATE TRIGGER stays BEFORE UPDATE OF %s ON billing_periods FOR EACH ROW EXECUTE FUNCTION refuse_change_of_billed_period()', kept);
END $$;
CREATE TRIGGER stays_due BEFORE UPDATE OF due_at, billing_month ON billing_periods FOR EACH ROW
  WHEN (OLD.carried_at IS NULL AND (NEW.due_at, NEW.billing_month) IS DISTINCT FROM (OLD.due_at, OLD.billing_month))
  EXECUTE FUNCTION refuse_change_of_billed_period();
CREATE TRIGGER stays_carried BEFORE UPDATE OF carried_from ON billing_periods FOR EACH ROW
  WHEN (OLD.carried_from IS NOT NULL AND NEW.carried_from IS DISTINCT FROM OLD.carried_from)
  EXECUTE FUNCTION refuse_change_of_billed_period();

-- What a run carried over, and why.
CREATE TABLE carried_periods (
  run_id            text NOT NULL,
  billing_period_id text NOT NULL REFERENCES billing_periods,
  organization_id   text NOT NULL REFERENCES organizations,
  -- Who would have been billed.
  customer_id       text NOT NULL,
  currency          text NOT NULL,
  -- What the whole invoice would have come to, and the amount that it lies below.
  invoice_total     numeric NOT NULL CHECK (invoice_total > 0),
  minimum_amount    numeric NOT NULL CHECK (minimum_amount > invoice_total),
  carried_at        timestamptz NOT NULL,
  PRIMARY KEY (run_id, billing_period_id),
  FOREIGN KEY (organization_id, run_id) REFERENCES billing_runs (organization_id, id),
  FOREIGN KEY (organization_id, customer_id) REFERENCES customers (organization_id, id)
);
CREATE INDEX carried_periods_by_time ON carried_periods (organization_id, run_id, carried_at, billing_period_id);
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON carried_periods FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
GRANT SELECT ON carried_periods TO millrace_app, millrace_worker;
GRANT INSERT ON carried_periods TO millrace_worker;
ALTER TABLE carried_periods ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_organization ON carried_periods TO millrace_app USING (organization_id = (SELECT current_organization()));
CREATE POLICY every_organization ON carried_periods TO millrace_worker USING (true);

ALTER TABLE billing_run_shards
  -- How many invoices were carried over of it.
  ADD COLUMN carried_over integer NOT NULL DEFAULT 0;
