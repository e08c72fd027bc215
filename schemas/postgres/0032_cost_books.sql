-- What prices refer to that changes by time: books of costs, and what credits are worth. Both only ever gain rows, so that what was rated can be rated again from the
-- very rows; a row that takes the place of another stands behind it, and the one behind counts.
CREATE TABLE cost_books (
  id              text PRIMARY KEY,
  organization_id text NOT NULL REFERENCES organizations,
  code            text NOT NULL,
  name            text NOT NULL,
  dimensions      text[] NOT NULL CHECK (cardinality(dimensions) BETWEEN 1 AND 3),
  currency        text NOT NULL,
  metadata        jsonb NOT NULL,
  version         integer NOT NULL,
  created_at      timestamptz NOT NULL,
  updated_at      timestamptz NOT NULL,
  UNIQUE (organization_id, code),
  UNIQUE (organization_id, id)
);
CREATE INDEX cost_books_by_creation ON cost_books (organization_id, created_at, id);

CREATE TABLE cost_book_versions (
  id              text PRIMARY KEY,
  organization_id text NOT NULL REFERENCES organizations,
  cost_book_id    text NOT NULL,
  version_number  integer NOT NULL CHECK (version_number > 0),
  effective_from  timestamptz NOT NULL,
  entries         json NOT NULL,
  default_cost    numeric NOT NULL CHECK (default_cost >= 0),
  created_at      timestamptz NOT NULL,
  UNIQUE (cost_book_id, version_number),
  FOREIGN KEY (organization_id, cost_book_id) REFERENCES cost_books (organization_id, id)
);
-- Of one instant the highest number counts.
CREATE INDEX cost_book_versions_by_time ON cost_book_versions (cost_book_id, effective_from, version_number);

CREATE TABLE credit_units (
  id              text PRIMARY KEY,
  organization_id text NOT NULL REFERENCES organizations,
  code            text NOT NULL,
  name            text NOT NULL,
  metadata        jsonb NOT NULL,
  version         integer NOT NULL,
  created_at      timestamptz NOT NULL,
  updated_at      timestamptz NOT NULL,
  UNIQUE (organization_id, code),
  UNIQUE (organization_id, id)
);
CREATE INDEX credit_units_by_creation ON credit_units (organization_id, created_at, id);

-- `unit` is a currency, or the code of the other unit that the unit is worth so much of.
CREATE TABLE credit_unit_rates (
  id              text PRIMARY KEY,
  organization_id text NOT NULL REFERENCES organizations,
  credit_unit_id  text NOT NULL,
  rate_number     integer NOT NULL CHECK (rate_number > 0),
  effective_from  timestamptz NOT NULL,
  unit            text NOT NULL,
  amount          numeric NOT NULL CHECK (amount > 0),
  created_at      timestamptz NOT NULL,
  UNIQUE (credit_unit_id, rate_number),
  FOREIGN KEY (organization_id, credit_unit_id) REFERENCES credit_units (organization_id, id)
);
CREATE INDEX credit_unit_rates_by_time ON credit_unit_rates (credit_unit_id, unit, effective_from, rate_number);

CREATE TRIGGER immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON cost_book_versions FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON credit_unit_rates FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER code_is_no_id BEFORE INSERT OR UPDATE OF code ON cost_books
  FOR EACH ROW WHEN (NEW.code ~ '^[A-Za-z]{3}_[0-9A-Fa-f]{32}$') EXECUTE FUNCTION refuse_name_like_an_id();
CREATE TRIGGER code_is_no_id BEFORE INSERT OR UPDATE OF code ON credit_units
  FOR EACH ROW WHEN (NEW.code ~ '^[A-Za-z]{3}_[0-9A-Fa-f]{32}$') EXECUTE FUNCTION refuse_name_like_an_id();

GRANT SELECT ON cost_books, cost_book_versions, credit_units, credit_unit_rates TO millrace_app, millrace_worker;
GRANT INSERT ON cost_books, cost_book_versions, credit_units, credit_unit_rates TO millrace_app;
-- Its rows are locked, which takes the right to change them; what they are referred to by stays.
GRANT UPDATE (version, updated_at) ON cost_books, credit_units TO millrace_app;
DO $$
DECLARE name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['cost_books', 'cost_book_versions', 'credit_units', 'credit_unit_rates'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('CREATE POLICY own_organization ON %I TO millrace_app USING (organization_id = (SELECT current_organization()))', name);
    EXECUTE format('CREATE POLICY every_organization ON %I TO millrace_worker USING (true)', name);
  END LOOP;
END $$;
