-- What a meter measures is a version of it, and a version never changes. A plan version is bound to the versions that its meters had when it was made: the same
-- events under the same plan version give the same bill for ever, whatever becomes of the meter.
CREATE TABLE meter_versions (
  id              text PRIMARY KEY,
  organization_id text NOT NULL REFERENCES organizations,
  meter_id        text NOT NULL REFERENCES meters,
  version_number  integer NOT NULL,
  event           text NOT NULL,
  aggregation     text NOT NULL,
  definition      json NOT NULL,
  created_at      timestamptz NOT NULL,
  UNIQUE (meter_id, version_number),
  UNIQUE (organization_id, id)
);
INSERT INTO meter_versions (id, organization_id, meter_id, version_number, event, aggregation, definition, created_at)
SELECT 'mtv_' || substring(id FROM 5), organization_id, id, 1, event, aggregation,
  json_strip_nulls(json_build_object('event', event, 'aggregation', aggregation, 'property', property)), created_at
FROM meters;
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON meter_versions FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- A meter that ended keeps its row: invoices name it. Its code is free again.
ALTER TABLE meters
  DROP COLUMN event,
  DROP COLUMN aggregation,
  DROP COLUMN property,
  ADD COLUMN deleted_at timestamptz,
  DROP CONSTRAINT meters_organization_id_code_key,
  ADD UNIQUE (organization_id, id);
CREATE UNIQUE INDEX meters_by_code ON meters (organization_id, code) WHERE deleted_at IS NULL;
ALTER TABLE meter_versions
  DROP CONSTRAINT meter_versions_meter_id_fkey,
  ADD FOREIGN KEY (organization_id, meter_id) REFERENCES meters (organization_id, id);

-- One row per meter that a plan version charges for.
CREATE TABLE plan_version_meters (
  organization_id  text NOT NULL REFERENCES organizations,
  plan_version_id  text NOT NULL,
  meter_code       text NOT NULL,
  meter_version_id text NOT NULL,
  PRIMARY KEY (plan_version_id, meter_code),
  FOREIGN KEY (organization_id, plan_version_id) REFERENCES plan_versions (organization_id, id),
  FOREIGN KEY (organization_id, meter_version_id) REFERENCES meter_versions (organization_id, id)
);
CREATE INDEX plan_version_meters_by_version ON plan_version_meters (meter_version_id);
INSERT INTO plan_version_meters (organization_id, plan_version_id, meter_code, meter_version_id)
SELECT DISTINCT v.organization_id, v.id, m.code, mv.id
FROM plan_versions v CROSS JOIN LATERAL json_array_elements(v.charges) AS charge
JOIN meters m ON m.organization_id = v.organization_id AND m.code = charge ->> 'meter'
JOIN meter_versions mv ON mv.meter_id = m.id;
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON plan_version_meters FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

GRANT SELECT ON meter_versions, plan_version_meters TO millrace_app, millrace_worker;
GRANT INSERT ON meter_versions, plan_version_meters TO millrace_app;
DO $$
DECLARE name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['meter_versions', 'plan_version_meters'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('CREATE POLICY own_organization ON %I TO millrace_app USING (organization_id = (SELECT current_organization()))', name);
    EXECUTE format('CREATE POLICY every_organization ON %I TO millrace_worker USING (true)', name);
  END LOOP;
END $$;
