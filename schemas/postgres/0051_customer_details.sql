-- What of a customer stands on invoices, as versions: an invoice holds the digest of the one that stood when it was issued. The current one is sealed in
-- customers.personal with its salt; one that was replaced is kept here, sealed by the same key of the customer.
ALTER TABLE customers
  ADD COLUMN details_version integer CHECK (details_version > 0),
  -- SHA-256, over a salt that is sealed: it tells nothing of what it is of.
  ADD COLUMN details_digest  text CHECK (details_digest ~ '^[0-9a-f]{64}$'),
  ADD CONSTRAINT customers_details_digested CHECK ((details_version IS NULL) = (details_digest IS NULL));

CREATE TABLE customer_details (
  organization_id text NOT NULL,
  customer_id     text NOT NULL,
  version         integer NOT NULL CHECK (version > 0),
  digest          text NOT NULL CHECK (digest ~ '^[0-9a-f]{64}$'),
  sealed          bytea NOT NULL,
  replaced_at     timestamptz NOT NULL,
  PRIMARY KEY (organization_id, customer_id, version),
  UNIQUE (organization_id, digest),
  FOREIGN KEY (organization_id, customer_id) REFERENCES customers (organization_id, id)
);
GRANT SELECT, INSERT, DELETE ON customer_details TO millrace_app;
ALTER TABLE customer_details ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_organization ON customer_details TO millrace_app USING (organization_id = (SELECT current_organization()))
  WITH CHECK (organization_id = (SELECT current_organization()));
