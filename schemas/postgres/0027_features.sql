-- Features: what a plan version entitles to, beside what it charges. A metered one is measured by a meter.
CREATE TABLE features (
  id              text PRIMARY KEY,
  organization_id text NOT NULL REFERENCES organizations,
  code            text NOT NULL,
  name            text NOT NULL,
  type            text NOT NULL CHECK (type IN ('switch', 'limit', 'metered')),
  meter_id        text CHECK ((meter_id IS NOT NULL) = (type = 'metered')),
  metadata        jsonb NOT NULL,
  version         integer NOT NULL,
  created_at      timestamptz NOT NULL,
  updated_at      timestamptz NOT NULL,
  -- One that ended keeps its row: the audit log names it. Its code is free again.
  deleted_at      timestamptz,
  UNIQUE (organization_id, id),
  FOREIGN KEY (organization_id, meter_id) REFERENCES meters (organization_id, id)
);
CREATE UNIQUE INDEX features_by_code ON features (organization_id, code) WHERE deleted_at IS NULL;
CREATE INDEX features_by_creation ON features (organization_id, created_at DESC, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX features_by_meter ON features (meter_id) WHERE deleted_at IS NULL;
CREATE TRIGGER code_is_no_id BEFORE INSERT OR UPDATE OF code ON features
  FOR EACH ROW WHEN (NEW.code ~ '^[A-Za-z]{3}_[0-9A-Fa-f]{32}$') EXECUTE FUNCTION refuse_name_like_an_id();

-- Which features a plan version entitles to, and by which version of its meter a metered one is measured: bound when the version is activated, for good, as its
-- meters are.
CREATE TABLE plan_version_features (
  organization_id  text NOT NULL REFERENCES organizations,
  plan_version_id  text NOT NULL,
  feature_id       text NOT NULL,
  meter_version_id text,
  PRIMARY KEY (plan_version_id, feature_id),
  FOREIGN KEY (organization_id, plan_version_id) REFERENCES plan_versions (organization_id, id),
  FOREIGN KEY (organization_id, feature_id) REFERENCES features (organization_id, id),
  FOREIGN KEY (organization_id, meter_version_id) REFERENCES meter_versions (organization_id, id)
);
CREATE INDEX plan_version_features_by_feature ON plan_version_features (feature_id);
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON plan_version_features FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE OR REPLACE FUNCTION refuse_late_meter() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM plan_versions v WHERE v.id = NEW.plan_version_id AND v.state <> 'draft') THEN
    RAISE EXCEPTION '% of a version that was activated are immutable: INSERT refused', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER before_activation BEFORE INSERT ON plan_version_features FOR EACH ROW EXECUTE FUNCTION refuse_late_meter();

GRANT SELECT ON features, plan_version_features TO millrace_app, millrace_worker;
GRANT INSERT ON features, plan_version_features TO millrace_app;
GRANT UPDATE (name, metadata, version, updated_at, deleted_at) ON features TO millrace_app;
DO $$
DECLARE name text;
BEGIN
  EXECUTE format('ALTER FUNCTION refuse_late_meter() SET search_path = %I, pg_temp', current_schema());
  FOREACH name IN ARRAY ARRAY['features', 'plan_version_features'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('CREATE POLICY own_organization ON %I TO millrace_app USING (organization_id = (SELECT current_organization()))', name);
    EXECUTE format('CREATE POLICY every_organization ON %I TO millrace_worker USING (true)', name);
  END LOOP;
END $$;
