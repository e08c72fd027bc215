-- Other prices of a charge for a while: for one customer, or for all who have the plan. A charge of a billing period may have several prices then; its rated line says
-- which stood when, by the ids of these rows, so they stay.
CREATE TABLE price_overrides (
  id              text PRIMARY KEY,
  organization_id text NOT NULL REFERENCES organizations,
  plan_id         text NOT NULL,
  charge_code     text NOT NULL,
  -- Null: of everyone who has the plan.
  customer_id     text,
  currency        text NOT NULL,
  -- Canonical JSON, as text: its bytes are hashed with each line that is rated by it.
  price           json NOT NULL,
  tiers           text NOT NULL CHECK (tiers IN ('restart', 'continue')),
  effective_from  timestamptz NOT NULL,
  -- Ended before it began: it was taken back, and stood never.
  effective_until timestamptz CHECK (effective_until >= effective_from),
  metadata        jsonb NOT NULL,
  version         integer NOT NULL,
  created_at      timestamptz NOT NULL,
  updated_at      timestamptz NOT NULL,
  UNIQUE (organization_id, id),
  FOREIGN KEY (organization_id, customer_id) REFERENCES customers (organization_id, id)
);
ALTER TABLE price_overrides ADD FOREIGN KEY (organization_id, plan_id) REFERENCES plans (organization_id, id);
-- What rating asks: those of the customers of a shard, and those of everyone.
CREATE INDEX price_overrides_by_plan ON price_overrides (organization_id, plan_id, customer_id, effective_from);
-- Lists, by age.
CREATE INDEX price_overrides_by_age ON price_overrides (organization_id, created_at, id);
CREATE INDEX price_overrides_by_customer ON price_overrides (organization_id, customer_id) WHERE customer_id IS NOT NULL;

CREATE FUNCTION refuse_change_of_price_override() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  life text[] := '{effective_until,metadata,version,updated_at}';
BEGIN
  IF TG_OP = 'UPDATE' AND (to_jsonb(NEW) - life) = (to_jsonb(OLD) - life) AND NEW.price::text = OLD.price::text THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'price_overrides: % refused: what was charged by it stays', TG_OP USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER stays BEFORE UPDATE OR DELETE ON price_overrides FOR EACH ROW EXECUTE FUNCTION refuse_change_of_price_override();
CREATE TRIGGER immutable BEFORE TRUNCATE ON price_overrides FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
DO $$ BEGIN
  EXECUTE format('ALTER FUNCTION refuse_change_of_price_override() SET search_path = %I, pg_temp', current_schema());
  EXECUTE 'REVOKE ALL ON FUNCTION refuse_change_of_price_override() FROM PUBLIC';
END $$;

GRANT SELECT, INSERT ON price_overrides TO millrace_app;
GRANT UPDATE (effective_until, metadata, version, updated_at) ON price_overrides TO millrace_app;
GRANT SELECT ON price_overrides TO millrace_worker;
ALTER TABLE price_overrides ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_organization ON price_overrides TO millrace_app USING (organization_id = (SELECT current_organization()))
  WITH CHECK (organization_id = (SELECT current_organization()));
CREATE POLICY every_organization ON price_overrides TO millrace_worker USING (true);
