-- The life of plan versions: a draft may change, an active one is what new subscriptions take, an archived one charges those that have it, and nobody new. What an
-- active or archived version charges stands for ever, whoever writes. And the currency that a subscription is charged in: a plan version may have prices in several.

ALTER TABLE plan_versions
  ADD COLUMN state text NOT NULL DEFAULT 'active' CHECK (state IN ('draft', 'active', 'archived')),
  ADD COLUMN activated_at timestamptz,
  ADD COLUMN archived_at timestamptz,
  ADD COLUMN version integer NOT NULL DEFAULT 1,
  ADD COLUMN updated_at timestamptz;

-- What was charged so far was active from its beginning until the next version came.
DROP TRIGGER immutable ON plan_versions;
UPDATE plan_versions v SET activated_at = v.created_at, updated_at = coalesce(n.created_at, v.created_at), archived_at = n.created_at,
  state = CASE WHEN n.created_at IS NULL THEN 'active' ELSE 'archived' END, version = CASE WHEN n.created_at IS NULL THEN 1 ELSE 2 END
FROM plan_versions o
LEFT JOIN LATERAL (
  SELECT created_at FROM plan_versions WHERE plan_id = o.plan_id AND version_number > o.version_number ORDER BY version_number LIMIT 1
) n ON true
WHERE o.id = v.id;
ALTER TABLE plan_versions
  ALTER COLUMN state DROP DEFAULT,
  ALTER COLUMN version DROP DEFAULT,
  ALTER COLUMN updated_at SET NOT NULL,
  ADD CONSTRAINT plan_versions_times CHECK (CASE state
    WHEN 'draft' THEN activated_at IS NULL AND archived_at IS NULL
    WHEN 'active' THEN activated_at IS NOT NULL AND archived_at IS NULL
    -- A draft that was given up was never active.
    ELSE archived_at IS NOT NULL END);
-- Two activations at once: one of them is the active version, whatever either of them saw.
CREATE UNIQUE INDEX plan_versions_active ON plan_versions (plan_id) WHERE state = 'active';

CREATE FUNCTION refuse_change_of_plan_version() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  life text[] := '{state,activated_at,archived_at,version,updated_at}';
BEGIN
  -- A draft keeps its place and becomes anything; an active one becomes archived and keeps all else; an archived one has come to its end.
  IF (OLD.state = 'draft' AND (to_jsonb(NEW) - life - '{currency,charges}'::text[]) = (to_jsonb(OLD) - life - '{currency,charges}'::text[]))
    OR (OLD.state = 'active' AND NEW.state IN ('active', 'archived') AND NEW.activated_at = OLD.activated_at
      AND (to_jsonb(NEW) - life) = (to_jsonb(OLD) - life) AND NEW.charges::text = OLD.charges::text) THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'plan_versions: % refused: what an % version charges is immutable', TG_OP, OLD.state USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER immutable BEFORE DELETE OR TRUNCATE ON plan_versions FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER stays BEFORE UPDATE ON plan_versions FOR EACH ROW EXECUTE FUNCTION refuse_change_of_plan_version();
DROP TRIGGER charges_are_no_ids ON plan_versions;
CREATE TRIGGER charges_are_no_ids BEFORE INSERT OR UPDATE OF charges ON plan_versions FOR EACH ROW EXECUTE FUNCTION refuse_charge_like_an_id();

-- Meters are bound as the last thing before a version is activated: a draft has none, and what was activated gets no other.
CREATE FUNCTION refuse_late_meter() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM plan_versions v WHERE v.id = NEW.plan_version_id AND v.state <> 'draft') THEN
    RAISE EXCEPTION 'plan_version_meters of a version that was activated are immutable: INSERT refused' USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER before_activation BEFORE INSERT ON plan_version_meters FOR EACH ROW EXECUTE FUNCTION refuse_late_meter();

-- Of a plan with prices in several currencies a subscription has one.
ALTER TABLE subscriptions ADD COLUMN currency text;
UPDATE subscriptions s SET currency = v.currency FROM plan_versions v WHERE v.id = s.plan_version_id;
ALTER TABLE subscriptions ALTER COLUMN currency SET NOT NULL;

-- What a customer pays in; nothing said is the own currency of whatever plan it subscribes to.
ALTER TABLE customers ADD COLUMN currency text;

-- A draft charges nobody: it could still change.
CREATE FUNCTION refuse_draft() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM plan_versions v WHERE v.id = NEW.plan_version_id AND v.state = 'draft') THEN
    RAISE EXCEPTION 'subscriptions refuses the draft of a plan version' USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER to_no_draft BEFORE INSERT OR UPDATE OF plan_version_id ON subscriptions FOR EACH ROW EXECUTE FUNCTION refuse_draft();

GRANT UPDATE (currency, charges, state, activated_at, archived_at, version, updated_at) ON plan_versions TO millrace_app;
DO $$
DECLARE name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['refuse_change_of_plan_version', 'refuse_late_meter', 'refuse_draft'] LOOP
    EXECUTE format('ALTER FUNCTION %I() SET search_path = %I, pg_temp', name, current_schema());
    EXECUTE format('REVOKE ALL ON FUNCTION %I() FROM PUBLIC', name);
  END LOOP;
END $$;
