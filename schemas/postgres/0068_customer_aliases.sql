-- The names of customers that had several: each external id that a customer has, or had, from the one that it was made with to the one of now. One that was never
-- renamed has no row here. A name is of one customer for good: events bear it, and whose they are never changes.
CREATE TABLE customer_aliases (
  organization_id text NOT NULL,
  name            text NOT NULL,
  customer_id     text NOT NULL,
  -- Since when the customer has the name.
  since           timestamptz NOT NULL,
  -- The renames of an organization are counted, one after another, so that a number tells which names there were; 0 is the name that a customer was made with.
  number          integer NOT NULL CHECK (number >= 0),
  PRIMARY KEY (organization_id, name),
  FOREIGN KEY (organization_id, customer_id) REFERENCES customers (organization_id, id)
);
CREATE UNIQUE INDEX customer_aliases_by_customer ON customer_aliases (customer_id, number);
CREATE INDEX customer_aliases_by_organization ON customer_aliases (organization_id, customer_id, number);
CREATE UNIQUE INDEX customer_aliases_by_number ON customer_aliases (organization_id, number) WHERE number > 0;
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON customer_aliases FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
GRANT SELECT ON customer_aliases TO millrace_app, millrace_worker;
ALTER TABLE customer_aliases ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_organization ON customer_aliases TO millrace_app USING (organization_id = (SELECT current_organization()))
  WITH CHECK (organization_id = (SELECT current_organization()));
CREATE POLICY every_organization ON customer_aliases TO millrace_worker USING (true);

-- Of one organization one rename after the other: the numbers run as renames commit.
CREATE FUNCTION refuse_taken_name() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('names of customers ' || NEW.organization_id, 0));
  IF EXISTS (SELECT 1 FROM customer_aliases a WHERE a.organization_id = NEW.organization_id AND a.name = NEW.external_id AND a.customer_id <> NEW.id) THEN
    RAISE EXCEPTION 'customers refuses a name that another customer had' USING ERRCODE = 'unique_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE FUNCTION keep_names() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
  INSERT INTO customer_aliases (organization_id, name, customer_id, since, number) VALUES (NEW.organization_id, OLD.external_id, NEW.id, NEW.created_at, 0)
  ON CONFLICT (organization_id, name) DO NOTHING;
  INSERT INTO customer_aliases (organization_id, name, customer_id, since, number)
  SELECT NEW.organization_id, NEW.external_id, NEW.id, NEW.updated_at, coalesce(max(a.number), 0) + 1
  FROM customer_aliases a WHERE a.organization_id = NEW.organization_id AND a.number > 0
  ON CONFLICT (organization_id, name) DO NOTHING;
  RETURN NULL;
END $$;
-- Who waited for a rename to commit finds the name free in the table of customers, and taken here.
CREATE FUNCTION refuse_taken_names() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM added n JOIN customer_aliases a ON a.organization_id = n.organization_id AND a.name = n.external_id) THEN
    RAISE EXCEPTION 'customers refuses a name that another customer had' USING ERRCODE = 'unique_violation';
  END IF;
  RETURN NULL;
END $$;
DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['refuse_taken_name', 'keep_names', 'refuse_taken_names'] LOOP
    EXECUTE format('ALTER FUNCTION %I() SET search_path = %I, pg_temp', name, current_schema());
    EXECUTE format('REVOKE ALL ON FUNCTION %I() FROM PUBLIC', name);
  END LOOP;
END $$;
CREATE TRIGGER name_is_free BEFORE UPDATE OF external_id ON customers FOR EACH ROW
  WHEN (NEW.external_id IS DISTINCT FROM OLD.external_id) EXECUTE FUNCTION refuse_taken_name();
CREATE TRIGGER keeps_names AFTER UPDATE OF external_id ON customers FOR EACH ROW
  WHEN (NEW.external_id IS DISTINCT FROM OLD.external_id) EXECUTE FUNCTION keep_names();
CREATE TRIGGER names_are_free AFTER INSERT ON customers REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION refuse_taken_names();
