-- Each customer has a key of its own for what is personal of it, itself sealed under a data key of the organization. Erasing a customer deletes the row, and with it
-- whatever the key sealed, wherever that was copied to. Customers without one are from before, and get it when they are written next, or when keys are rotated.
CREATE TABLE customer_keys (
  organization_id text NOT NULL,
  customer_id     text NOT NULL,
  wrapped         bytea NOT NULL,
  PRIMARY KEY (organization_id, customer_id),
  FOREIGN KEY (organization_id, customer_id) REFERENCES customers (organization_id, id)
);
GRANT SELECT, INSERT, DELETE ON customer_keys TO millrace_app;
ALTER TABLE customer_keys ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_organization ON customer_keys TO millrace_app USING (organization_id = (SELECT current_organization()))
  WITH CHECK (organization_id = (SELECT current_organization()));
CREATE POLICY every_organization ON customer_keys TO millrace_worker USING (true);

ALTER TABLE customers
  -- BCP 47, in its canonical form.
  ADD COLUMN language text,
  -- Days until an invoice is due; null where nothing was agreed.
  ADD COLUMN payment_days integer CHECK (payment_days BETWEEN 0 AND 365),
  ADD COLUMN parent_id text CHECK (parent_id <> id),
  ADD COLUMN archived_at timestamptz,
  ADD COLUMN erased_at timestamptz CHECK (erased_at IS NULL OR archived_at IS NOT NULL),
  ADD FOREIGN KEY (organization_id, parent_id) REFERENCES customers (organization_id, id),
  DROP CONSTRAINT customers_name_once,
  ADD CONSTRAINT customers_name_once CHECK (num_nonnulls(name, personal) = CASE WHEN erased_at IS NULL THEN 1 ELSE 0 END);

-- Whose personal fields a kept answer holds: it is emptied when they are erased.
ALTER TABLE idempotency_keys ADD COLUMN customer_id text;
CREATE INDEX idempotency_keys_by_customer ON idempotency_keys (organization_id, customer_id) WHERE customer_id IS NOT NULL;
UPDATE idempotency_keys SET customer_id = substr(headers ->> 'location', length('/v1/customers/') + 1)
  WHERE headers ->> 'location' ~ '^/v1/customers/cus_[0-9a-f]{32}$';

-- How many customers an organization has, so that nobody counts a million rows for each page of a list: in parts, by the connection that adds, which so seldom
-- waits for another; a part by itself says nothing, and may be below zero.
CREATE TABLE customer_counts (
  organization_id text NOT NULL REFERENCES organizations,
  part            smallint NOT NULL,
  current         bigint NOT NULL,
  archived        bigint NOT NULL,
  PRIMARY KEY (organization_id, part)
);
INSERT INTO customer_counts (organization_id, part, current, archived) SELECT organization_id, 0, count(*), 0 FROM customers GROUP BY organization_id;
CREATE FUNCTION count_customer() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
  archived_more integer := (NEW.archived_at IS NOT NULL)::integer - CASE WHEN TG_OP = 'UPDATE' THEN (OLD.archived_at IS NOT NULL)::integer ELSE 0 END;
  all_more integer := (TG_OP = 'INSERT')::integer;
BEGIN
  INSERT INTO customer_counts AS c (organization_id, part, current, archived)
  VALUES (NEW.organization_id, pg_backend_pid() % 64, all_more - archived_more, archived_more)
  ON CONFLICT (organization_id, part) DO UPDATE SET current = c.current + excluded.current, archived = c.archived + excluded.archived;
  RETURN NULL;
END $$;
DO $$ BEGIN
  EXECUTE format('ALTER FUNCTION count_customer() SET search_path = %I, pg_temp', current_schema());
  EXECUTE 'REVOKE ALL ON FUNCTION count_customer() FROM PUBLIC';
END $$;
CREATE TRIGGER counted AFTER INSERT ON customers FOR EACH ROW EXECUTE FUNCTION count_customer();
CREATE TRIGGER counted_anew AFTER UPDATE OF archived_at ON customers FOR EACH ROW
  WHEN ((OLD.archived_at IS NULL) <> (NEW.archived_at IS NULL)) EXECUTE FUNCTION count_customer();
GRANT SELECT ON customer_counts TO millrace_app;
ALTER TABLE customer_counts ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_organization ON customer_counts TO millrace_app USING (organization_id = (SELECT current_organization()))
  WITH CHECK (organization_id = (SELECT current_organization()));
CREATE POLICY every_organization ON customer_counts TO millrace_worker USING (true);

-- Lists of the current ones and of the archived ones, and of the children of a customer.
CREATE INDEX customers_current ON customers (organization_id, created_at DESC, id DESC) WHERE archived_at IS NULL;
CREATE INDEX customers_archived ON customers (organization_id, created_at DESC, id DESC) WHERE archived_at IS NOT NULL;
CREATE INDEX customers_by_parent ON customers (organization_id, parent_id, created_at DESC, id DESC) WHERE parent_id IS NOT NULL;
