-- The audit log of an organization in several chains ("lanes"), so that its changes don't wait for one head; and the outbox, which says
-- what there is to tell of changes.

-- What was written so far is lane 0. More are opened as they are wanted (platform/record-change.ts).
ALTER TABLE audit_heads ADD COLUMN lane integer NOT NULL DEFAULT 0;
ALTER TABLE audit_heads
  ALTER COLUMN lane DROP DEFAULT,
  DROP CONSTRAINT audit_heads_pkey,
  ADD PRIMARY KEY (organization_id, lane);
-- Every change writes one of these few rows anew: with room in its page that touches no index.
ALTER TABLE audit_heads SET (fillfactor = 50);

ALTER TABLE audit_log
  ADD COLUMN lane integer NOT NULL DEFAULT 0,
  ADD COLUMN canonical_version integer NOT NULL DEFAULT 2,
  ADD COLUMN object_sequence bigint;
ALTER TABLE audit_log ALTER COLUMN lane DROP DEFAULT, ALTER COLUMN canonical_version DROP DEFAULT;
-- Entries don't change, save here: each is told by which form it was hashed, which so far was to be seen by whether it had a stored digest,
-- and which entry of its object it is. What was hashed is as it was. One pass over the table, under its lock.
ALTER TABLE audit_log DISABLE TRIGGER immutable;
UPDATE audit_log a SET canonical_version = CASE WHEN a.stored_digest IS NULL THEN 1 ELSE 2 END, object_sequence = n.place
  FROM (SELECT id, row_number() OVER (PARTITION BY organization_id, object_id ORDER BY sequence) AS place FROM audit_log) n WHERE n.id = a.id;
ALTER TABLE audit_log ENABLE TRIGGER immutable;
DROP INDEX audit_log_by_object;
ALTER TABLE audit_log
  ALTER COLUMN object_sequence SET NOT NULL,
  DROP CONSTRAINT audit_log_pkey,
  ADD PRIMARY KEY (organization_id, lane, sequence);
-- Two changes of an object at once are told apart by the lock of its row. Where somebody forgets that lock, one of them fails here.
CREATE UNIQUE INDEX audit_log_by_object ON audit_log (organization_id, object_id, object_sequence);
-- The order of the list: sequences of lanes can't be compared.
CREATE INDEX audit_log_by_time ON audit_log (organization_id, occurred_at DESC, id DESC);

-- One row per change, written with its entry in the audit log: what is still to be told of it. A lane's rows become visible in the order of
-- their sequence, as the head of the lane is locked until the commit: who reads on from the last one that it saw in each lane misses nothing.
CREATE TABLE outbox (
  organization_id text NOT NULL REFERENCES organizations,
  lane            integer NOT NULL,
  sequence        bigint NOT NULL,
  id              text NOT NULL,
  type            text NOT NULL,
  object_type     text NOT NULL,
  object_id       text NOT NULL,
  occurred_at     timestamptz NOT NULL,
  PRIMARY KEY (organization_id, lane, sequence)
);
CREATE INDEX outbox_by_time ON outbox (occurred_at);
ALTER TABLE outbox ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_organization ON outbox TO millrace_app USING (organization_id = (SELECT current_organization()));
CREATE POLICY every_organization ON outbox TO millrace_worker USING (true);
GRANT SELECT, INSERT ON outbox TO millrace_app, millrace_worker;

-- Forgets what nobody will ask for any more, some rows at a time. Works as the owner: no login of a service may delete a row that is younger.
CREATE FUNCTION remove_old_outbox_rows(now_is timestamptz)
RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $$
  WITH gone AS (
    DELETE FROM outbox WHERE id IN (
      SELECT id FROM outbox WHERE occurred_at < least(now_is, now()) - interval '30 days' ORDER BY occurred_at LIMIT 5000 FOR UPDATE SKIP LOCKED
    ) RETURNING 1
  ) SELECT count(*) FROM gone
$$;
DO $$ BEGIN
  EXECUTE format('ALTER FUNCTION remove_old_outbox_rows(timestamptz) SET search_path = %I, pg_temp', current_schema());
  EXECUTE 'REVOKE ALL ON FUNCTION remove_old_outbox_rows(timestamptz) FROM PUBLIC';
END $$;
GRANT EXECUTE ON FUNCTION remove_old_outbox_rows(timestamptz) TO millrace_app, millrace_worker;
