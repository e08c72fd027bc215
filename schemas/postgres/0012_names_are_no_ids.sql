-- No name that a caller gives has the form of an id (schemas/names.ts), so no text means two objects. Rows that are there already keep their names: to rename a customer
-- would change which events are billed to it, and to refuse the migration would stop the installation. They are listed by `names_like_ids`. A trigger and no CHECK:
-- that would refuse every later change of such a row, even the one that ends it.
CREATE FUNCTION refuse_name_like_an_id() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% refuses a name that has the form of an id', TG_TABLE_NAME USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER code_is_no_id BEFORE INSERT OR UPDATE OF code ON meters
  FOR EACH ROW WHEN (NEW.code ~ '^[A-Za-z]{3}_[0-9A-Fa-f]{32}$') EXECUTE FUNCTION refuse_name_like_an_id();
CREATE TRIGGER code_is_no_id BEFORE INSERT OR UPDATE OF code ON plans
  FOR EACH ROW WHEN (NEW.code ~ '^[A-Za-z]{3}_[0-9A-Fa-f]{32}$') EXECUTE FUNCTION refuse_name_like_an_id();
CREATE TRIGGER external_id_is_no_id BEFORE INSERT OR UPDATE OF external_id ON customers
  FOR EACH ROW WHEN (NEW.external_id ~ '^[A-Za-z]{3}_[0-9A-Fa-f]{32}$') EXECUTE FUNCTION refuse_name_like_an_id();

-- Charges are named within their plan version, which never changes.
CREATE FUNCTION refuse_charge_like_an_id() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM json_array_elements(NEW.charges) AS charge WHERE charge ->> 'code' ~ '^[A-Za-z]{3}_[0-9A-Fa-f]{32}$') THEN
    RAISE EXCEPTION 'plan_versions refuses the code of a charge that has the form of an id' USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER charges_are_no_ids BEFORE INSERT ON plan_versions FOR EACH ROW EXECUTE FUNCTION refuse_charge_like_an_id();

-- What is there from before. `is_hidden`: the name has the form of an id of its own kind, so it is taken for that id, and the object is found by its own id alone.
CREATE FUNCTION names_like_ids() RETURNS TABLE (organization_id text, object text, id text, name text, is_hidden boolean) LANGUAGE sql STABLE AS $$
  SELECT m.organization_id, 'meter', m.id, m.code, m.code ~ '^mtr_[0-9a-f]{32}$' FROM meters m WHERE m.deleted_at IS NULL AND m.code ~ '^[A-Za-z]{3}_[0-9A-Fa-f]{32}$'
  UNION ALL
  SELECT p.organization_id, 'plan', p.id, p.code, p.code ~ '^pln_[0-9a-f]{32}$' FROM plans p WHERE p.code ~ '^[A-Za-z]{3}_[0-9A-Fa-f]{32}$'
  UNION ALL
  SELECT c.organization_id, 'customer', c.id, c.external_id, c.external_id ~ '^cus_[0-9a-f]{32}$' FROM customers c WHERE c.external_id ~ '^[A-Za-z]{3}_[0-9A-Fa-f]{32}$'
  ORDER BY 1, 2, 3
$$;

DO $$ BEGIN
  EXECUTE format('ALTER FUNCTION refuse_name_like_an_id() SET search_path = %I, pg_temp', current_schema());
  EXECUTE format('ALTER FUNCTION refuse_charge_like_an_id() SET search_path = %I, pg_temp', current_schema());
  EXECUTE 'REVOKE ALL ON FUNCTION names_like_ids(), refuse_name_like_an_id(), refuse_charge_like_an_id() FROM PUBLIC';
END $$;
