-- Content version 4 of invoices: a document number from the series of whoever issues it, seller and buyer as they stood, when it is due, what it says beside its
-- lines, and discounts and taxes. What is empty is null: most invoices have none of it.
ALTER TABLE invoices
  ADD COLUMN document_number   text,
  ADD COLUMN issuing_entity_id text,
  ADD COLUMN seller            json CHECK (seller IS NULL OR issuing_entity_id IS NOT NULL),
  ADD COLUMN buyer_digest      text,
  ADD COLUMN due_at            timestamptz CHECK (due_at >= issued_at),
  ADD COLUMN payment_days      integer,
  ADD COLUMN purchase_order    text,
  ADD COLUMN memo              text,
  ADD COLUMN custom_fields     json,
  ADD COLUMN discounts         json,
  ADD COLUMN taxes             json,
  ADD COLUMN discount_total    numeric,
  ADD COLUMN tax_total         numeric,
  DROP CONSTRAINT invoices_kind_check,
  ADD CONSTRAINT invoices_kind_check CHECK (kind IN ('period', 'one_off')),
  ADD CONSTRAINT invoices_due_by_terms CHECK ((due_at IS NULL) = (payment_days IS NULL)),
  -- [I19]
  ADD CONSTRAINT invoices_total_is_a_sum CHECK (content_version < 4 OR total = subtotal - discount_total + tax_total),
  ADD CONSTRAINT invoices_columns_of_version_4 CHECK (CASE WHEN content_version >= 4
    THEN num_nonnulls(document_number, discount_total, tax_total) = 3
    ELSE num_nonnulls(document_number, issuing_entity_id, seller, buyer_digest, due_at, payment_days, purchase_order, memo, custom_fields, discounts, taxes,
      discount_total, tax_total) = 0 END);
-- No number begins twice, whatever becomes of the formats that it was written in [I18].
CREATE UNIQUE INDEX invoices_by_document_number ON invoices (organization_id, document_number) WHERE document_number IS NOT NULL;

ALTER TABLE invoice_lines
  -- Null is a charge, from before there was anything else.
  ADD COLUMN kind        text CHECK (kind IN ('charge', 'item')),
  ADD COLUMN unit_amount numeric,
  ADD COLUMN discounts   json,
  ADD COLUMN taxes       json,
  ALTER COLUMN charge_code DROP NOT NULL,
  ADD CONSTRAINT invoice_lines_charge CHECK (CASE WHEN kind = 'item' THEN charge_code IS NULL AND billing_period_id IS NULL
    ELSE charge_code IS NOT NULL AND unit_amount IS NULL END);

-- How far the document numbers of an organization went, by the text before their digits. Read and written under the lock of invoice_series alone.
CREATE TABLE numbering_series (
  organization_id   text NOT NULL REFERENCES organizations,
  stem              text NOT NULL,
  -- The stem without its year.
  prefix            text NOT NULL,
  issuing_entity_id text,
  last_number       bigint NOT NULL CHECK (last_number > 0),
  PRIMARY KEY (organization_id, stem)
);
GRANT SELECT ON numbering_series TO millrace_app, millrace_worker;
GRANT INSERT, UPDATE ON numbering_series TO millrace_worker;
ALTER TABLE numbering_series ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_organization ON numbering_series TO millrace_app USING (organization_id = (SELECT current_organization()));
CREATE POLICY every_organization ON numbering_series TO millrace_worker USING (true);
