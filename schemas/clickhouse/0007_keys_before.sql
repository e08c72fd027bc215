-- The keys of the events that were stored before keys were kept. Run again it gives the same rows.
INSERT INTO usage_keys (tenant, key_digest, stream_sequence, received_at, event, customer, occurred_at, payload)
SELECT tenant, key_digest, stream_sequence, received_at, event, customer, occurred_at, cityHash64(properties) FROM usage_events
