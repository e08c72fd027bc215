-- Offers to customers: a draft changes; once it is sent it stays as it is, and becomes a subscription when it is accepted. That it has expired follows from
-- valid_until and the hour (schemas/quote-state.ts).
CREATE TABLE quotes (
  id              text PRIMARY KEY,
  organization_id text NOT NULL REFERENCES organizations,
  customer_id     text NOT NULL,
  plan_id         text NOT NULL,
  -- The version that was active when it was sent.
  plan_version_id text,
  currency        text,
  -- Canonical JSON, as text: its bytes are hashed.
  terms           json NOT NULL,
  -- Null: when it is accepted.
  starts_at       timestamptz,
  valid_until     timestamptz NOT NULL,
  state           text NOT NULL CHECK (state IN ('draft', 'sent', 'accepted', 'declined', 'canceled')),
  -- SHA-256 of all that was offered.
  content_hash    bytea CHECK (length(content_hash) = 32),
  -- HMAC-SHA256 of the token in the link, as of API keys.
  link_hash       bytea UNIQUE CHECK (length(link_hash) = 32),
  sent_at         timestamptz,
  accepted_at     timestamptz CHECK ((accepted_at IS NOT NULL) = (state = 'accepted')),
  declined_at     timestamptz CHECK ((declined_at IS NOT NULL) = (state = 'declined')),
  canceled_at     timestamptz CHECK ((canceled_at IS NOT NULL) = (state = 'canceled')),
  subscription_id text UNIQUE CHECK ((subscription_id IS NOT NULL) = (state = 'accepted')),
  -- Who accepted it, or why it was declined; sealed by the key of the customer.
  personal        bytea CHECK (personal IS NULL OR state IN ('accepted', 'declined')),
  revision_of     text,
  metadata        jsonb NOT NULL,
  version         integer NOT NULL,
  created_at      timestamptz NOT NULL,
  updated_at      timestamptz NOT NULL,
  UNIQUE (organization_id, id),
  FOREIGN KEY (organization_id, customer_id) REFERENCES customers (organization_id, id),
  FOREIGN KEY (organization_id, plan_version_id) REFERENCES plan_versions (organization_id, id),
  FOREIGN KEY (organization_id, subscription_id) REFERENCES subscriptions (organization_id, id),
  CHECK (num_nulls(plan_version_id, currency, content_hash, link_hash, sent_at) = 0 OR num_nulls(plan_version_id, content_hash, link_hash, sent_at) = 4),
  CHECK (sent_at IS NOT NULL OR state IN ('draft', 'canceled')),
  CHECK (sent_at IS NULL OR state <> 'draft')
);
ALTER TABLE quotes
  ADD FOREIGN KEY (organization_id, plan_id) REFERENCES plans (organization_id, id),
  ADD FOREIGN KEY (organization_id, revision_of) REFERENCES quotes (organization_id, id);
CREATE INDEX quotes_by_creation ON quotes (organization_id, created_at DESC, id DESC);
CREATE INDEX quotes_by_validity ON quotes (organization_id, valid_until DESC, id DESC);
CREATE INDEX quotes_by_state ON quotes (organization_id, state, created_at DESC, id DESC);
CREATE INDEX quotes_by_customer ON quotes (organization_id, customer_id, created_at DESC, id DESC);
-- Whose prices a new version of the plan has to fit.
CREATE INDEX quotes_open ON quotes (organization_id, plan_id) WHERE state = 'sent';

-- What was sent stays: only what becomes of it is written, and seals are renewed.
CREATE FUNCTION refuse_change_of_quote() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  life text[] := '{state,accepted_at,declined_at,canceled_at,subscription_id,personal,version,updated_at}';
BEGIN
  IF TG_OP = 'UPDATE' AND OLD.state = 'draft' THEN
    RETURN NEW;
  END IF;
  IF TG_OP = 'UPDATE' AND (to_jsonb(NEW) - life) = (to_jsonb(OLD) - life) AND NEW.terms::text = OLD.terms::text
    AND (OLD.state = 'sent' OR NEW.state = OLD.state) AND NEW.state <> 'draft' THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'quotes: % refused: what was offered stays', TG_OP USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER stays BEFORE UPDATE OR DELETE ON quotes FOR EACH ROW EXECUTE FUNCTION refuse_change_of_quote();
CREATE TRIGGER immutable BEFORE TRUNCATE ON quotes FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Whose quote a link is: nothing is known yet of who asks, and the hash tells.
CREATE FUNCTION find_quote_link(wanted_hash bytea)
RETURNS TABLE (id text, link_hash bytea, organization_id text, tier text, world text) LANGUAGE sql STABLE SECURITY DEFINER AS $$
  SELECT q.id, q.link_hash, q.organization_id, o.tier, CASE WHEN o.sandbox_of IS NULL THEN 'live' ELSE 'test' END
  FROM quotes q JOIN organizations o ON o.id = q.organization_id WHERE q.link_hash = wanted_hash
$$;
DO $$ BEGIN
  EXECUTE format('ALTER FUNCTION refuse_change_of_quote() SET search_path = %I, pg_temp', current_schema());
  EXECUTE format('ALTER FUNCTION find_quote_link(bytea) SET search_path = %I, pg_temp', current_schema());
  EXECUTE 'REVOKE ALL ON FUNCTION refuse_change_of_quote(), find_quote_link(bytea) FROM PUBLIC';
END $$;
GRANT EXECUTE ON FUNCTION find_quote_link(bytea) TO millrace_app;

GRANT SELECT, INSERT ON quotes TO millrace_app;
GRANT UPDATE (plan_id, plan_version_id, currency, terms, starts_at, valid_until, state, content_hash, link_hash, sent_at, accepted_at, declined_at, canceled_at,
  subscription_id, personal, metadata, version, updated_at) ON quotes TO millrace_app;
ALTER TABLE quotes ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_organization ON quotes TO millrace_app USING (organization_id = (SELECT current_organization()))
  WITH CHECK (organization_id = (SELECT current_organization()));
