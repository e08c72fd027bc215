-- The PDF of each invoice, made once after its issue and kept as it was made. A row is the job first, and the document then. Sealed by the key of the customer: erasing it
-- leaves nothing to read. As bytea and not as a large object: a document is read whole, and its row falls under row-level security, keys and the transaction of its job.
CREATE TABLE invoice_documents (
  organization_id text NOT NULL,
  invoice_id      text NOT NULL,
  customer_id     text NOT NULL,
  state           text NOT NULL CHECK (state IN ('queued', 'made', 'failed')),
  -- Of the customer when the invoice was issued: whatever changes afterwards, a document that is made again has the same bytes.
  language        text,
  time_zone       text NOT NULL,
  leased_until    timestamptz,
  attempts        integer NOT NULL DEFAULT 0,
  failure         text,
  sealed          bytea CHECK ((sealed IS NOT NULL) = (state = 'made')),
  -- SHA-256 of the PDF.
  digest          text CHECK (digest ~ '^[0-9a-f]{64}$'),
  made_at         timestamptz,
  PRIMARY KEY (organization_id, invoice_id),
  CHECK (num_nonnulls(sealed, digest, made_at) IN (0, 3)),
  FOREIGN KEY (organization_id, customer_id) REFERENCES customers (organization_id, id)
);
-- What is sealed can't be compressed.
ALTER TABLE invoice_documents ALTER COLUMN sealed SET STORAGE EXTERNAL;
CREATE INDEX invoice_documents_queued ON invoice_documents (leased_until NULLS FIRST, invoice_id) WHERE state = 'queued';
CREATE INDEX invoice_documents_by_customer ON invoice_documents (organization_id, customer_id);
GRANT SELECT, INSERT, UPDATE, DELETE ON invoice_documents TO millrace_app;
GRANT INSERT ON invoice_documents TO millrace_worker;
ALTER TABLE invoice_documents ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_organization ON invoice_documents TO millrace_app USING (organization_id = (SELECT current_organization()))
  WITH CHECK (organization_id = (SELECT current_organization()));
CREATE POLICY every_organization ON invoice_documents TO millrace_worker USING (true);

-- Whose document is made next: a loop works for every organization, and sees of them what it leases.
CREATE FUNCTION lease_invoice_document(lease_seconds integer)
RETURNS TABLE (organization_id text, invoice_id text, attempts integer) LANGUAGE sql SECURITY DEFINER AS $$
  WITH candidate AS (
    SELECT d.organization_id, d.invoice_id FROM invoice_documents d
    WHERE d.state = 'queued' AND (d.leased_until IS NULL OR d.leased_until < clock_timestamp())
    ORDER BY d.leased_until NULLS FIRST, d.invoice_id LIMIT 1 FOR UPDATE SKIP LOCKED
  )
  UPDATE invoice_documents d SET leased_until = clock_timestamp() + make_interval(secs => lease_seconds), attempts = d.attempts + 1
  FROM candidate c WHERE d.organization_id = c.organization_id AND d.invoice_id = c.invoice_id
  RETURNING d.organization_id, d.invoice_id, d.attempts
$$;
DO $$ BEGIN
  EXECUTE format('ALTER FUNCTION lease_invoice_document(integer) SET search_path = %I, pg_temp', current_schema());
  EXECUTE 'REVOKE ALL ON FUNCTION lease_invoice_document(integer) FROM PUBLIC';
END $$;
GRANT EXECUTE ON FUNCTION lease_invoice_document(integer) TO millrace_app;
