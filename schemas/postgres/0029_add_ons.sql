-- A plan of the kind add_on is taken beside a plan, and not by itself. Of what kind a plan is stands for good.
ALTER TABLE plans ADD COLUMN kind text NOT NULL DEFAULT 'plan' CHECK (kind IN ('plan', 'add_on'));
CREATE TRIGGER kind_stays BEFORE UPDATE OF kind ON plans FOR EACH ROW WHEN (OLD.kind <> NEW.kind) EXECUTE FUNCTION refuse_change();

-- Nobody subscribes to an add-on, whoever writes.
CREATE FUNCTION refuse_add_on() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM plan_versions v JOIN plans p ON p.id = v.plan_id WHERE v.id = NEW.plan_version_id AND p.kind <> 'plan') THEN
    RAISE EXCEPTION 'subscriptions refuses an add-on' USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER to_no_add_on BEFORE INSERT OR UPDATE OF plan_version_id ON subscriptions FOR EACH ROW EXECUTE FUNCTION refuse_add_on();
DO $$
BEGIN
  EXECUTE format('ALTER FUNCTION refuse_add_on() SET search_path = %I, pg_temp', current_schema());
  EXECUTE 'REVOKE ALL ON FUNCTION refuse_add_on() FROM PUBLIC';
END $$;
