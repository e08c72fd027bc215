-- One row per amendment of an event: it voids what stands under an idempotency key, or puts another event in its place. Append-only but for its way through the stream.
CREATE TABLE amendments (
  id              text PRIMARY KEY,
  organization_id text NOT NULL REFERENCES organizations,
  idempotency_key text NOT NULL,
  -- Amendments of one key follow each other; each takes the place of the one before.
  number          integer NOT NULL CHECK (number > 0),
  action          text NOT NULL CHECK (action IN ('void', 'replace')),
  reason          text NOT NULL,
  created_at      timestamptz NOT NULL,
  -- The last time that the stream took its message; a message that is lost with the end of the stream is sent again.
  published_sequence bigint,
  published_at       timestamptz,
  -- From which sequence on it holds: the lowest that the store has of it, known once the store has everything up to there.
  stream_sequence    bigint,
  applied_at         timestamptz,
  UNIQUE (organization_id, idempotency_key, number),
  UNIQUE (organization_id, id),
  CHECK ((published_at IS NULL) = (published_sequence IS NULL)),
  CHECK ((applied_at IS NULL) = (stream_sequence IS NULL))
);
CREATE INDEX amendments_by_time ON amendments (organization_id, created_at, id);
CREATE INDEX amendments_pending ON amendments (organization_id, created_at, id) WHERE stream_sequence IS NULL;

-- What an amendment does, one row per event: those that stop standing, and the one that stands from then on.
CREATE TABLE amended_events (
  organization_id text NOT NULL,
  amendment_id    text NOT NULL,
  effect          text NOT NULL CHECK (effect IN ('removed', 'added')),
  position        integer NOT NULL,
  event           text NOT NULL,
  customer        text NOT NULL,
  occurred_at     timestamptz NOT NULL,
  row_digest      bytea NOT NULL CHECK (length(row_digest) = 16),
  -- Path and text of each; of an event that is removed they stand where it was stored.
  properties      json CHECK ((effect = 'added') = (properties IS NOT NULL)),
  PRIMARY KEY (amendment_id, effect, position),
  FOREIGN KEY (organization_id, amendment_id) REFERENCES amendments (organization_id, id)
);
-- By whose usage of which time it changes.
CREATE INDEX amended_events_by_customer ON amended_events (organization_id, customer, occurred_at);
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON amended_events FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE FUNCTION refuse_amendment_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE way text[] := ARRAY['published_sequence', 'published_at', 'stream_sequence', 'applied_at'];
BEGIN
  IF TG_OP = 'UPDATE' AND OLD.stream_sequence IS NULL AND to_jsonb(NEW) - way = to_jsonb(OLD) - way THEN RETURN NEW; END IF;
  RAISE EXCEPTION 'amendments is immutable: % refused', TG_OP USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON amendments FOR EACH ROW EXECUTE FUNCTION refuse_amendment_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON amendments FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Whose amendments wait, which has to be read before it is known for whom; the rest is read as that organization.
CREATE FUNCTION organizations_with_pending_amendments() RETURNS TABLE (organization_id text) LANGUAGE sql STABLE SECURITY DEFINER AS $$
  SELECT DISTINCT a.organization_id FROM amendments a WHERE a.stream_sequence IS NULL
$$;
DO $$ BEGIN
  EXECUTE format('ALTER FUNCTION organizations_with_pending_amendments() SET search_path = %I, pg_temp', current_schema());
  EXECUTE format('ALTER FUNCTION refuse_amendment_change() SET search_path = %I, pg_temp', current_schema());
  EXECUTE 'REVOKE ALL ON FUNCTION organizations_with_pending_amendments(), refuse_amendment_change() FROM PUBLIC';
END $$;
GRANT EXECUTE ON FUNCTION organizations_with_pending_amendments() TO millrace_app;

GRANT SELECT, INSERT ON amendments, amended_events TO millrace_app;
GRANT UPDATE (published_sequence, published_at, stream_sequence, applied_at) ON amendments TO millrace_app;
GRANT SELECT ON amendments, amended_events TO millrace_worker;
DO $$
DECLARE name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['amendments', 'amended_events'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('CREATE POLICY own_organization ON %I TO millrace_app USING (organization_id = (SELECT current_organization()))', name);
    EXECUTE format('CREATE POLICY every_organization ON %I TO millrace_worker USING (true)', name);
  END LOOP;
END $$;
