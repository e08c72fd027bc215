-- What happens to an invoice after its issue, beside its rows, which never change: its state, what was credited and paid of it, and what is noted of it.
CREATE TABLE invoice_states (
  organization_id text NOT NULL,
  invoice_id      text PRIMARY KEY REFERENCES invoices,
  -- These as the invoice has them: lists find and sum by one table.
  series_number   bigint NOT NULL,
  customer_id     text NOT NULL,
  currency        text NOT NULL,
  state           text NOT NULL CHECK (state IN ('issued', 'partly_paid', 'paid', 'uncollectible', 'voided')),
  total           numeric NOT NULL,
  -- Of an index that is asked before row-level security is: comparing numeric is not leakproof, and would come after it.
  total_floor     bigint NOT NULL GENERATED ALWAYS AS (least(greatest(floor(total), -9e18), 9e18)::bigint) STORED,
  amount_credited numeric NOT NULL DEFAULT 0 CHECK (amount_credited BETWEEN 0 AND greatest(total, 0)),
  amount_paid     numeric NOT NULL DEFAULT 0 CHECK (amount_paid >= 0),
  amount_due      numeric NOT NULL GENERATED ALWAYS AS (greatest(total - amount_credited - amount_paid, 0)) STORED,
  issued_at       timestamptz NOT NULL,
  due_at          timestamptz,
  metadata        jsonb NOT NULL,
  version         integer NOT NULL,
  updated_at      timestamptz NOT NULL,
  FOREIGN KEY (organization_id, customer_id) REFERENCES customers (organization_id, id),
  CONSTRAINT invoice_states_amounts CHECK (CASE state
    WHEN 'issued' THEN amount_paid = 0
    WHEN 'partly_paid' THEN amount_paid > 0
    WHEN 'paid' THEN total - amount_credited - amount_paid <= 0
    WHEN 'voided' THEN amount_paid = 0 AND amount_credited = greatest(total, 0)
    ELSE true END)
);
CREATE UNIQUE INDEX invoice_states_by_number ON invoice_states (organization_id, series_number);
CREATE INDEX invoice_states_by_issue ON invoice_states (organization_id, issued_at DESC, invoice_id DESC);
CREATE INDEX invoice_states_by_customer ON invoice_states (organization_id, customer_id, issued_at DESC, invoice_id DESC);
CREATE INDEX invoice_states_by_state ON invoice_states (organization_id, state, issued_at DESC, invoice_id DESC);
CREATE INDEX invoice_states_by_due_time ON invoice_states (organization_id, due_at, invoice_id) WHERE due_at IS NOT NULL;
CREATE INDEX invoice_states_by_total ON invoice_states (organization_id, currency, total_floor);
-- What is open, and what of it is overdue.
CREATE INDEX invoice_states_open ON invoice_states (organization_id, due_at, invoice_id) WHERE state IN ('issued', 'partly_paid') AND amount_due > 0;
-- Lists don't ask them any more.
DROP INDEX invoices_by_issue, invoices_by_customer_issue;

-- The table of states: invoicer/invoices/invoice-state.ts.
CREATE FUNCTION refuse_change_of_invoice_state() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  life text[] := '{state,amount_credited,amount_paid,amount_due,total_floor,metadata,version,updated_at}';
BEGIN
  IF TG_OP = 'DELETE' OR (to_jsonb(NEW) - life) <> (to_jsonb(OLD) - life) THEN
    RAISE EXCEPTION 'invoice_states: % refused: what was issued stays', TG_OP USING ERRCODE = 'restrict_violation';
  END IF;
  IF NEW.amount_credited < OLD.amount_credited THEN
    RAISE EXCEPTION 'invoice_states: % refused: what was credited stays so', TG_OP USING ERRCODE = 'restrict_violation';
  END IF;
  IF NEW.state <> OLD.state AND NOT (CASE OLD.state
    WHEN 'issued' THEN NEW.state IN ('partly_paid', 'paid', 'uncollectible', 'voided')
    WHEN 'partly_paid' THEN NEW.state IN ('paid', 'uncollectible')
    WHEN 'uncollectible' THEN NEW.state IN ('paid', 'voided')
    ELSE false END) THEN
    RAISE EXCEPTION 'invoice_states: % refused: no way leads from % to %', TG_OP, OLD.state, NEW.state USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER stays BEFORE UPDATE OR DELETE ON invoice_states FOR EACH ROW EXECUTE FUNCTION refuse_change_of_invoice_state();
CREATE TRIGGER immutable BEFORE TRUNCATE ON invoice_states FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
DO $$ BEGIN
  EXECUTE format('ALTER FUNCTION refuse_change_of_invoice_state() SET search_path = %I, pg_temp', current_schema());
  EXECUTE 'REVOKE ALL ON FUNCTION refuse_change_of_invoice_state() FROM PUBLIC';
END $$;

GRANT SELECT ON invoice_states TO millrace_app, millrace_worker;
GRANT INSERT ON invoice_states TO millrace_worker;
GRANT UPDATE (state, amount_credited, amount_paid, metadata, version, updated_at) ON invoice_states TO millrace_app;
ALTER TABLE invoice_states ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_organization ON invoice_states TO millrace_app USING (organization_id = (SELECT current_organization()))
  WITH CHECK (organization_id = (SELECT current_organization()));
CREATE POLICY every_organization ON invoice_states TO millrace_worker USING (true);

-- Of invoices that are there already. One that was a draft goes on from the version that it had.
INSERT INTO invoice_states (organization_id, invoice_id, series_number, customer_id, currency, state, total, issued_at, due_at, metadata, version, updated_at)
SELECT i.organization_id, i.id, i.series_number, i.customer_id, i.currency, 'issued', i.total, i.issued_at, i.due_at, coalesce(d.metadata, '{}'), coalesce(d.version, 1), i.issued_at
FROM invoices i LEFT JOIN invoice_drafts d ON d.id = i.id;
