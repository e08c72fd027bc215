-- Invoices are issued first and their documents made afterwards: both want the whole machine at a month's end, and nobody waits for a document, as
-- one that is asked for is made at once. Five minutes at most, by the time in their ids, so that an organization that is always billed keeps none waiting.
CREATE OR REPLACE FUNCTION lease_invoice_document(lease_seconds integer)
RETURNS TABLE (organization_id text, invoice_id text, attempts integer) LANGUAGE sql SECURITY DEFINER AS $$
  WITH candidate AS (
    SELECT d.organization_id, d.invoice_id FROM invoice_documents d
    WHERE d.state = 'queued' AND (d.leased_until IS NULL OR d.leased_until < clock_timestamp())
      AND (d.invoice_id < 'inv_' || lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint - 300000), 12, '0')
        OR NOT EXISTS (SELECT FROM billing_run_shards s WHERE s.state = 'rated'))
    ORDER BY d.leased_until NULLS FIRST, d.invoice_id LIMIT 1 FOR UPDATE SKIP LOCKED
  )
  UPDATE invoice_documents d SET leased_until = clock_timestamp() + make_interval(secs => lease_seconds), attempts = d.attempts + 1
  FROM candidate c WHERE d.organization_id = c.organization_id AND d.invoice_id = c.invoice_id
  RETURNING d.organization_id, d.invoice_id, d.attempts
$$;
DO $$ BEGIN
  EXECUTE format('ALTER FUNCTION lease_invoice_document(integer) SET search_path = %I, pg_temp', current_schema());
END $$;
