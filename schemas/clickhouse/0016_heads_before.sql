-- The heads of what was stored before they were kept. Run again it changes nothing.
INSERT INTO usage_heads (tenant, stream_sequence)
SELECT tenant, max(stream_sequence) FROM usage_events GROUP BY tenant
