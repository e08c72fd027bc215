-- Of every block of events that is stored. Given twice it changes nothing.
CREATE MATERIALIZED VIEW IF NOT EXISTS heads_of_events TO usage_heads AS
SELECT tenant, max(stream_sequence) AS stream_sequence FROM usage_events GROUP BY tenant
