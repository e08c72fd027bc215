-- One row per accepted event, twins of it until they are merged. Identity is (tenant, idempotency_key), carried as key_digest.
-- The version is the complement of the stream sequence, so ReplacingMergeTree keeps the FIRST write: a later twin never changes usage.
-- The order key ends with the digest and holds the day, not the instant: twins that were stamped anew on the same day collapse by
-- themselves, and a day is still a narrow read. Partitioned by month of usage, never by tenant.
CREATE TABLE IF NOT EXISTS usage_events (
  tenant          LowCardinality(String),
  event           LowCardinality(String),
  customer        String,
  occurred_at     DateTime64(3, 'UTC'),
  received_at     DateTime64(3, 'UTC'),
  stored_at       DateTime64(3, 'UTC') DEFAULT now64(3),
  idempotency_key String,
  key_digest      FixedString(16),
  properties      JSON(max_dynamic_paths = 256),
  stream_sequence UInt64,
  version         UInt64 MATERIALIZED bitNot(stream_sequence)
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(occurred_at)
ORDER BY (tenant, event, customer, toDate(occurred_at), key_digest)
SETTINGS non_replicated_deduplication_window = 1000
