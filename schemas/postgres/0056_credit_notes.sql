-- Credit notes: what corrects an issued invoice. Immutable as invoices are, with a chain and numbers of their own.
CREATE TABLE credit_note_series (
  organization_id text PRIMARY KEY REFERENCES organizations,
  last_number     bigint NOT NULL,
  head_hash       text NOT NULL
);

-- How far their document numbers went, by the text before their digits. Read and written under the lock of credit_note_series alone.
CREATE TABLE credit_note_numbering (
  organization_id   text NOT NULL REFERENCES organizations,
  stem              text NOT NULL,
  -- The stem without its year.
  prefix            text NOT NULL,
  issuing_entity_id text,
  last_number       bigint NOT NULL CHECK (last_number > 0),
  PRIMARY KEY (organization_id, stem),
  FOREIGN KEY (organization_id, issuing_entity_id) REFERENCES issuing_entities (organization_id, id)
);

ALTER TABLE issuing_entities
  -- Null follows from number_prefix.
  ADD COLUMN credit_note_prefix text CHECK (credit_note_prefix <> number_prefix);
CREATE UNIQUE INDEX issuing_entities_by_credit_note_prefix ON issuing_entities
  (organization_id, coalesce(credit_note_prefix, CASE number_prefix WHEN 'INV-' THEN 'CN-' ELSE 'CN-' || number_prefix END));

CREATE TABLE credit_notes (
  id                  text PRIMARY KEY,
  organization_id     text NOT NULL REFERENCES organizations,
  series_number       bigint NOT NULL,
  content_version     integer NOT NULL,
  document_number     text NOT NULL,
  invoice_id          text NOT NULL REFERENCES invoices,
  customer_id         text NOT NULL,
  currency            text NOT NULL,
  reason              text NOT NULL CHECK (reason IN ('duplicate', 'fraudulent', 'product_unsatisfactory', 'order_change', 'late_usage', 'other')),
  memo                text,
  settlement          text CHECK (settlement IN ('refund', 'balance')),
  pre_payment_amount  numeric NOT NULL CHECK (pre_payment_amount >= 0),
  post_payment_amount numeric NOT NULL CHECK (post_payment_amount >= 0),
  -- As the invoice has them.
  issuing_entity_id   text,
  seller              json CHECK (seller IS NULL OR issuing_entity_id IS NOT NULL),
  buyer_digest        text,
  discounts           json,
  taxes               json,
  subtotal            numeric NOT NULL,
  discount_total      numeric NOT NULL,
  tax_total           numeric NOT NULL,
  total               numeric NOT NULL CHECK (total >= 0),
  issued_at           timestamptz NOT NULL,
  previous_hash       text NOT NULL,
  hash                text NOT NULL,
  line_count          integer NOT NULL,
  -- What is not hashed: the caller's notes, and what its document is written by.
  metadata            jsonb NOT NULL,
  language            text,
  time_zone           text NOT NULL,
  UNIQUE (organization_id, series_number),
  UNIQUE (organization_id, document_number),
  UNIQUE (organization_id, id),
  UNIQUE (invoice_id, id),
  FOREIGN KEY (organization_id, customer_id) REFERENCES customers (organization_id, id),
  FOREIGN KEY (organization_id, issuing_entity_id) REFERENCES issuing_entities (organization_id, id),
  -- [I19]
  CONSTRAINT credit_notes_total_is_a_sum CHECK (total = subtotal - discount_total + tax_total),
  CONSTRAINT credit_notes_settled_whole CHECK (total = pre_payment_amount + post_payment_amount
    AND (settlement IS NOT NULL) = (post_payment_amount > 0))
);
CREATE INDEX credit_notes_by_issue ON credit_notes (organization_id, issued_at DESC, id DESC);
CREATE INDEX credit_notes_by_reason ON credit_notes (organization_id, reason, issued_at DESC, id DESC);
CREATE INDEX credit_notes_by_customer ON credit_notes (customer_id, issued_at DESC, id DESC);

CREATE TABLE credit_note_lines (
  organization_id text NOT NULL,
  credit_note_id  text NOT NULL,
  position        integer NOT NULL CHECK (position > 0),
  invoice_id      text NOT NULL,
  -- The position of the line that it credits.
  invoice_line    integer NOT NULL,
  amount          numeric NOT NULL,
  -- Of each discount and tax of that line, in their order.
  discounts       json,
  taxes           json,
  PRIMARY KEY (credit_note_id, position),
  UNIQUE (invoice_id, invoice_line, credit_note_id),
  FOREIGN KEY (organization_id, credit_note_id) REFERENCES credit_notes (organization_id, id),
  FOREIGN KEY (invoice_id, credit_note_id) REFERENCES credit_notes (invoice_id, id),
  FOREIGN KEY (invoice_id, invoice_line) REFERENCES invoice_lines (invoice_id, position)
);

CREATE TRIGGER immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON credit_notes FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON credit_note_lines FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- The lines of a credit note are written together, and none afterwards; and no line of an invoice is credited beyond what it charged.
CREATE FUNCTION refuse_credit_line() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (
    SELECT 1 FROM (SELECT DISTINCT credit_note_id FROM new_lines) l JOIN credit_notes n ON n.id = l.credit_note_id
    WHERE n.line_count <> (SELECT count(*) FROM credit_note_lines c WHERE c.credit_note_id = n.id)
  ) THEN
    RAISE EXCEPTION 'credit_note_lines of an issued credit note are immutable: INSERT refused' USING ERRCODE = 'restrict_violation';
  END IF;
  IF EXISTS (
    SELECT 1 FROM new_lines l JOIN invoice_lines i ON i.invoice_id = l.invoice_id AND i.position = l.invoice_line
    WHERE NOT (SELECT sum(c.amount) BETWEEN least(i.amount, 0) AND greatest(i.amount, 0) FROM credit_note_lines c
      WHERE c.invoice_id = l.invoice_id AND c.invoice_line = l.invoice_line)
  ) THEN
    RAISE EXCEPTION 'credit_note_lines: INSERT refused: a line is credited beyond what it charged' USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER with_its_note AFTER INSERT ON credit_note_lines
  REFERENCING NEW TABLE AS new_lines FOR EACH STATEMENT EXECUTE FUNCTION refuse_credit_line();

-- What was credited of an invoice, which its state holds within the total, is the sum of its credit notes.
CREATE FUNCTION refuse_uncounted_credit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (SELECT sum(n.total) FROM credit_notes n WHERE n.invoice_id = NEW.invoice_id) IS DISTINCT FROM
    (SELECT s.amount_credited FROM invoice_states s WHERE s.invoice_id = NEW.invoice_id
      AND s.organization_id = NEW.organization_id AND s.customer_id = NEW.customer_id AND s.currency = NEW.currency)
    OR NEW.line_count <> (SELECT count(*) FROM credit_note_lines l WHERE l.credit_note_id = NEW.id) THEN
    RAISE EXCEPTION 'credit_notes: INSERT refused: it is not what was credited of its invoice' USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER counted AFTER INSERT ON credit_notes DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION refuse_uncounted_credit();

DO $$
DECLARE name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['refuse_credit_line', 'refuse_uncounted_credit'] LOOP
    EXECUTE format('ALTER FUNCTION %I() SET search_path = %I, pg_temp', name, current_schema());
    EXECUTE format('REVOKE ALL ON FUNCTION %I() FROM PUBLIC', name);
  END LOOP;
  FOREACH name IN ARRAY ARRAY['credit_note_series', 'credit_note_numbering', 'credit_notes', 'credit_note_lines'] LOOP
    EXECUTE format('GRANT SELECT, INSERT ON %I TO millrace_app, millrace_worker', name);
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('CREATE POLICY own_organization ON %I TO millrace_app USING (organization_id = (SELECT current_organization()))
      WITH CHECK (organization_id = (SELECT current_organization()))', name);
    EXECUTE format('CREATE POLICY every_organization ON %I TO millrace_worker USING (true)', name);
  END LOOP;
END $$;
GRANT UPDATE (last_number, head_hash) ON credit_note_series TO millrace_app, millrace_worker;
GRANT UPDATE (prefix, issuing_entity_id, last_number) ON credit_note_numbering TO millrace_app, millrace_worker;
-- The invoicer credits usage that came late.
GRANT UPDATE (state, amount_credited, version, updated_at) ON invoice_states TO millrace_worker;
