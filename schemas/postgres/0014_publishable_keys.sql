-- Publishable keys: they stand in web pages, so whatever is asked of them, they read what is public and nothing else. The list of their scopes is that of
-- schemas/api-key.ts. Which world a key is of is told with it, so that an answer can name it.
ALTER TABLE api_keys
  ADD COLUMN kind text NOT NULL DEFAULT 'secret' CHECK (kind IN ('secret', 'publishable')),
  ADD CONSTRAINT publishable_keys_read_what_is_public CHECK (kind = 'secret' OR (scopes <@ ARRAY['read:plans'] AND signing_secret IS NULL));

-- What a function gives back can't be changed in place. A process of the version before finds all columns that it knows in the new one.
DROP FUNCTION find_api_key(bytea);
CREATE FUNCTION find_api_key(wanted_hash bytea)
RETURNS TABLE (id text, key_hash bytea, organization_id text, scopes text[], expires_at timestamptz, revoked_at timestamptz, signing_secret bytea, tier text,
  kind text, world text)
LANGUAGE sql STABLE SECURITY DEFINER AS $$
  SELECT k.id, k.key_hash, k.organization_id, k.scopes, k.expires_at, k.revoked_at, k.signing_secret, o.tier,
    k.kind, CASE WHEN o.sandbox_of IS NULL THEN 'live' ELSE 'test' END
  FROM api_keys k JOIN organizations o ON o.id = k.organization_id WHERE k.key_hash = wanted_hash
$$;
DO $$ BEGIN
  EXECUTE format('ALTER FUNCTION find_api_key(bytea) SET search_path = %I, pg_temp', current_schema());
  EXECUTE 'REVOKE ALL ON FUNCTION find_api_key(bytea) FROM PUBLIC';
END $$;
GRANT EXECUTE ON FUNCTION find_api_key(bytea) TO millrace_app, millrace_gateway;
