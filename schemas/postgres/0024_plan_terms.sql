-- What holds of a plan version over all of its charges, as canonical JSON; absent in versions from before there could be any. It stands for ever, as the charges do.

ALTER TABLE plan_versions ADD COLUMN terms json;

CREATE OR REPLACE FUNCTION refuse_change_of_plan_version() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  life text[] := '{state,activated_at,archived_at,version,updated_at}';
  written text[] := '{currency,charges,terms}';
BEGIN
  -- A draft keeps its place and becomes anything; an active one becomes archived and keeps all else; an archived one has come to its end.
  IF (OLD.state = 'draft' AND (to_jsonb(NEW) - life - written) = (to_jsonb(OLD) - life - written))
    OR (OLD.state = 'active' AND NEW.state IN ('active', 'archived') AND NEW.activated_at = OLD.activated_at
      AND (to_jsonb(NEW) - life) = (to_jsonb(OLD) - life) AND NEW.charges::text = OLD.charges::text
      AND NEW.terms::text IS NOT DISTINCT FROM OLD.terms::text) THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'plan_versions: % refused: what an % version charges is immutable', TG_OP, OLD.state USING ERRCODE = 'restrict_violation';
END $$;
-- As 0021 has it; a function that is made anew looks names up as its session does.
DO $$
BEGIN
  EXECUTE format('ALTER FUNCTION refuse_change_of_plan_version() SET search_path = %I, pg_temp', current_schema());
END $$;

GRANT UPDATE (terms) ON plan_versions TO millrace_app;
