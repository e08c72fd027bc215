-- Who issues invoices: legal entities of an organization, each with the form of its document numbers.
CREATE TABLE issuing_entities (
  id              text PRIMARY KEY,
  organization_id text NOT NULL REFERENCES organizations,
  legal_name      text NOT NULL,
  address         jsonb,
  tax_ids         jsonb NOT NULL,
  -- By its calendar an invoice is of a year.
  time_zone       text NOT NULL,
  number_prefix   text NOT NULL,
  number_year     boolean NOT NULL,
  number_padding  integer NOT NULL CHECK (number_padding BETWEEN 1 AND 12),
  -- Numbers that begin again with the year have to name it.
  number_reset    text NOT NULL CHECK (number_reset = 'never' OR (number_reset = 'yearly' AND number_year)),
  archived_at     timestamptz,
  metadata        jsonb NOT NULL,
  version         integer NOT NULL,
  created_at      timestamptz NOT NULL,
  updated_at      timestamptz NOT NULL,
  UNIQUE (organization_id, id)
);
-- Those that are archived keep theirs: its series are over, and go on with nobody.
CREATE UNIQUE INDEX issuing_entities_by_prefix ON issuing_entities (organization_id, number_prefix);
CREATE INDEX issuing_entities_by_creation ON issuing_entities (organization_id, created_at DESC, id DESC);
GRANT SELECT ON issuing_entities TO millrace_app, millrace_worker;
GRANT INSERT, UPDATE ON issuing_entities TO millrace_app;
ALTER TABLE issuing_entities ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_organization ON issuing_entities TO millrace_app USING (organization_id = (SELECT current_organization()));
CREATE POLICY every_organization ON issuing_entities TO millrace_worker USING (true);

ALTER TABLE organizations
  -- Of customers that name no other; null is none.
  ADD COLUMN issuing_entity_id text,
  -- Days until an invoice is due, of customers with whom nothing else was agreed.
  ADD COLUMN payment_days integer CHECK (payment_days BETWEEN 0 AND 365),
  ADD FOREIGN KEY (id, issuing_entity_id) REFERENCES issuing_entities (organization_id, id);
GRANT UPDATE (issuing_entity_id, payment_days) ON organizations TO millrace_app;

ALTER TABLE customers
  ADD COLUMN issuing_entity_id text,
  -- What its invoices say beside their lines; null is nothing.
  ADD COLUMN invoice_defaults jsonb,
  ADD FOREIGN KEY (organization_id, issuing_entity_id) REFERENCES issuing_entities (organization_id, id);
CREATE INDEX customers_by_issuing_entity ON customers (organization_id, issuing_entity_id) WHERE issuing_entity_id IS NOT NULL;

ALTER TABLE invoices ADD FOREIGN KEY (organization_id, issuing_entity_id) REFERENCES issuing_entities (organization_id, id);
ALTER TABLE numbering_series ADD FOREIGN KEY (organization_id, issuing_entity_id) REFERENCES issuing_entities (organization_id, id);
