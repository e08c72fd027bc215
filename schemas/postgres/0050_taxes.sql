-- What is charged of taxes. Of a rate that may stand on an invoice nothing changes but its name and its end: another percentage is another rate.
CREATE TABLE tax_rates (
  id              text PRIMARY KEY,
  organization_id text NOT NULL REFERENCES organizations,
  code            text NOT NULL,
  name            text NOT NULL,
  percentage      numeric(9, 6) NOT NULL CHECK (percentage BETWEEN 0 AND 100),
  -- Whether prices have it in them.
  inclusive       boolean NOT NULL,
  -- Null: only customers that name it have it.
  country         text CHECK (country ~ '^[A-Z]{2}$'),
  -- Null: all of the country.
  state           text CHECK (state IS NULL OR country IS NOT NULL),
  -- Of the charges that it is for.
  tax_category    text,
  valid_from      timestamptz,
  valid_until     timestamptz CHECK (valid_until >= valid_from),
  archived_at     timestamptz,
  metadata        jsonb NOT NULL,
  version         integer NOT NULL,
  created_at      timestamptz NOT NULL,
  updated_at      timestamptz NOT NULL,
  UNIQUE (organization_id, code),
  UNIQUE (organization_id, id)
);
CREATE INDEX tax_rates_by_creation ON tax_rates (organization_id, created_at, id);
-- What issuing asks.
CREATE INDEX tax_rates_current ON tax_rates (organization_id) WHERE archived_at IS NULL;

CREATE FUNCTION refuse_change_of_tax_rate() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  life text[] := '{name,valid_until,archived_at,metadata,version,updated_at}';
BEGIN
  IF TG_OP = 'UPDATE' AND (to_jsonb(NEW) - life) = (to_jsonb(OLD) - life) THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'tax_rates: % refused: what was charged by it stays', TG_OP USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER stays BEFORE UPDATE OR DELETE ON tax_rates FOR EACH ROW EXECUTE FUNCTION refuse_change_of_tax_rate();
CREATE TRIGGER immutable BEFORE TRUNCATE ON tax_rates FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER code_is_no_id BEFORE INSERT OR UPDATE OF code ON tax_rates
  FOR EACH ROW WHEN (NEW.code ~ '^[A-Za-z]{3}_[0-9A-Fa-f]{32}$') EXECUTE FUNCTION refuse_name_like_an_id();
DO $$ BEGIN
  EXECUTE format('ALTER FUNCTION refuse_change_of_tax_rate() SET search_path = %I, pg_temp', current_schema());
  EXECUTE 'REVOKE ALL ON FUNCTION refuse_change_of_tax_rate() FROM PUBLIC';
END $$;

GRANT SELECT, INSERT ON tax_rates TO millrace_app;
GRANT UPDATE (name, valid_until, archived_at, metadata, version, updated_at) ON tax_rates TO millrace_app;
GRANT SELECT ON tax_rates TO millrace_worker;
ALTER TABLE tax_rates ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_organization ON tax_rates TO millrace_app USING (organization_id = (SELECT current_organization()))
  WITH CHECK (organization_id = (SELECT current_organization()));
CREATE POLICY every_organization ON tax_rates TO millrace_worker USING (true);

ALTER TABLE organizations
  -- Whether each tax of a line is rounded, or the sum of a tax once for all lines of an invoice.
  ADD COLUMN tax_rounding text NOT NULL DEFAULT 'line' CHECK (tax_rounding IN ('line', 'invoice')),
  -- Who says which taxes an invoice has: its tax rates, or an engine outside.
  ADD COLUMN tax_calculation text NOT NULL DEFAULT 'rates' CHECK (tax_calculation IN ('rates', 'engine'));
GRANT UPDATE (tax_rounding, tax_calculation) ON organizations TO millrace_app;

-- Who issues invoices has no key to what is personal of a customer. So what taxes go by stands beside it: where the customer is and of which countries its tax ids are,
-- written with the address and the tax ids, and erased with them.
ALTER TABLE customers
  ADD COLUMN tax_country          text,
  ADD COLUMN tax_state            text,
  ADD COLUMN tax_id_countries     text[] NOT NULL DEFAULT '{}',
  ADD COLUMN tax_treatment        text NOT NULL DEFAULT 'taxable' CHECK (tax_treatment IN ('taxable', 'exempt')),
  ADD COLUMN tax_exemption_reason text CHECK (tax_exemption_reason IS NULL OR tax_treatment = 'exempt'),
  -- Those that it has instead of the rates of its place.
  ADD COLUMN tax_rate_ids         text[] NOT NULL DEFAULT '{}',
  ADD CHECK (erased_at IS NULL OR (num_nonnulls(tax_country, tax_state, tax_exemption_reason) = 0 AND tax_id_countries = '{}'));
-- Whether a customer names a rate that is to be archived.
CREATE INDEX customers_with_tax_rates ON customers USING gin (tax_rate_ids) WHERE tax_rate_ids <> '{}';

-- Of what is charged once; charges of plans have theirs in the plan version.
ALTER TABLE one_time_charges ADD COLUMN tax_category text;
