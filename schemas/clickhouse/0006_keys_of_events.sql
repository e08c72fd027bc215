-- Rows of amendments have a zero byte in their key, which no event of a caller can have: they are no events by themselves.
CREATE MATERIALIZED VIEW IF NOT EXISTS keys_of_events TO usage_keys AS
SELECT tenant, key_digest, stream_sequence, received_at, event, customer, occurred_at, cityHash64(properties) AS payload
FROM usage_events WHERE position(idempotency_key, '\0') = 0
