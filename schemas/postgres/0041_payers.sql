-- Whose invoice bills a period: decided where its time is cut, and standing still when customers are moved afterwards.
ALTER TABLE billing_periods
  ADD COLUMN payer_id     text,
  -- Whether it is on one invoice with all of the payer that falls due at the same instant in the same currency, or on one of its subscription alone.
  ADD COLUMN consolidated boolean;
ALTER TABLE billing_periods DISABLE TRIGGER stays;
-- What was cut so far is billed to its own customer.
UPDATE billing_periods p SET payer_id = p.customer_id, consolidated = c.invoicing = 'consolidated' FROM customers c WHERE c.id = p.customer_id;
ALTER TABLE billing_periods ENABLE TRIGGER stays;
ALTER TABLE billing_periods
  ALTER COLUMN payer_id SET NOT NULL,
  ALTER COLUMN consolidated SET NOT NULL,
  ADD FOREIGN KEY (organization_id, payer_id) REFERENCES customers (organization_id, id),
  ADD CHECK (consolidated OR payer_id = customer_id);
-- What is billed to another one, by both.
CREATE INDEX billing_periods_by_payer ON billing_periods (payer_id, state) WHERE payer_id <> customer_id;
CREATE INDEX billing_periods_of_children ON billing_periods (customer_id, invoice_id) WHERE payer_id <> customer_id;
