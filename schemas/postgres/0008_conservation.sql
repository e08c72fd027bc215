-- What the gateways answered, so that it can be held against what the store has (GET /v1/reconciliation).

-- One row per process of a gateway. Without `ended_at` and without a word for a while it died, and what it counted last is not written down.
CREATE TABLE ingest_gateways (
  id          text PRIMARY KEY,
  started_at  timestamptz NOT NULL,
  reported_at timestamptz NOT NULL,
  ended_at    timestamptz
);
CREATE INDEX ingest_gateways_unended ON ingest_gateways (reported_at) WHERE ended_at IS NULL;

-- One row per (organization, hour of receipt, process of a gateway): totals since the process began, never differences, so a row that is written twice counts once.
CREATE TABLE ingest_counts (
  organization_id text NOT NULL REFERENCES organizations,
  hour            timestamptz NOT NULL,
  gateway_id      text NOT NULL REFERENCES ingest_gateways,
  received        bigint NOT NULL,
  accepted        bigint NOT NULL,
  -- Of the accepted: in messages that the stream had already, and did not store again.
  repeated        bigint NOT NULL,
  duplicates      bigint NOT NULL,
  conflicts       bigint NOT NULL,
  rejected        bigint NOT NULL,
  not_final       bigint NOT NULL,
  PRIMARY KEY (organization_id, hour, gateway_id)
);

-- One row per loss that a gateway found: sequences that the stream had acknowledged and does not hold any more. From 0: the whole of a stream that is gone.
CREATE TABLE stream_losses (
  stream        text NOT NULL,
  from_sequence bigint NOT NULL,
  to_sequence   bigint NOT NULL,
  detected_at   timestamptz NOT NULL,
  gateway_id    text NOT NULL,
  PRIMARY KEY (stream, from_sequence, to_sequence, detected_at)
);
CREATE INDEX stream_losses_by_time ON stream_losses (detected_at);
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON stream_losses FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- The one thing that the gateway's login can write. Totals only rise.
CREATE FUNCTION report_ingest(of_gateway text, counts jsonb, losses jsonb, has_ended boolean)
RETURNS void LANGUAGE sql SECURITY DEFINER AS $$
  INSERT INTO ingest_gateways AS g (id, started_at, reported_at, ended_at)
    VALUES (of_gateway, clock_timestamp(), clock_timestamp(), CASE WHEN has_ended THEN clock_timestamp() END)
    ON CONFLICT (id) DO UPDATE SET reported_at = excluded.reported_at, ended_at = excluded.ended_at;
  INSERT INTO ingest_counts AS n (organization_id, hour, gateway_id, received, accepted, repeated, duplicates, conflicts, rejected, not_final)
    SELECT c.organization_id, c.hour, of_gateway, c.received, c.accepted, c.repeated, c.duplicates, c.conflicts, c.rejected, c.not_final
    FROM jsonb_to_recordset(counts) AS c (organization_id text, hour timestamptz, received bigint, accepted bigint, repeated bigint, duplicates bigint,
      conflicts bigint, rejected bigint, not_final bigint)
    ON CONFLICT (organization_id, hour, gateway_id) DO UPDATE SET received = greatest(n.received, excluded.received),
      accepted = greatest(n.accepted, excluded.accepted), repeated = greatest(n.repeated, excluded.repeated),
      duplicates = greatest(n.duplicates, excluded.duplicates), conflicts = greatest(n.conflicts, excluded.conflicts),
      rejected = greatest(n.rejected, excluded.rejected), not_final = greatest(n.not_final, excluded.not_final);
  INSERT INTO stream_losses (stream, from_sequence, to_sequence, detected_at, gateway_id)
    SELECT l.stream, l.from_sequence, l.to_sequence, l.detected_at, of_gateway
    FROM jsonb_to_recordset(losses) AS l (stream text, from_sequence bigint, to_sequence bigint, detected_at timestamptz)
    ON CONFLICT DO NOTHING;
$$;
DO $$ BEGIN
  EXECUTE format('ALTER FUNCTION report_ingest(text, jsonb, jsonb, boolean) SET search_path = %I, pg_temp', current_schema());
  EXECUTE 'REVOKE ALL ON FUNCTION report_ingest(text, jsonb, jsonb, boolean) FROM PUBLIC';
END $$;
GRANT EXECUTE ON FUNCTION report_ingest(text, jsonb, jsonb, boolean) TO millrace_gateway;

GRANT SELECT ON ingest_counts, ingest_gateways, stream_losses TO millrace_app;
ALTER TABLE ingest_counts ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_organization ON ingest_counts TO millrace_app USING (organization_id = (SELECT current_organization()));
-- Processes and sequences belong to the installation, and say nothing of an organization.
ALTER TABLE ingest_gateways ENABLE ROW LEVEL SECURITY;
CREATE POLICY of_the_installation ON ingest_gateways TO millrace_app USING (true);
ALTER TABLE stream_losses ENABLE ROW LEVEL SECURITY;
CREATE POLICY of_the_installation ON stream_losses TO millrace_app USING (true);
