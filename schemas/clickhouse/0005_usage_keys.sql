-- One row per accepted event by its identity: what answers "do we have this key", and what the identity check reads. Sorted by digest, so a key is one short read
-- in each month; parts that hold no sequence of a wanted range are left out by the index, which is kept coarse so that asking it costs nothing either. A row that is
-- stored twice has one sequence and collapses; twins have two. payload tells whether a twin says the same: a merge may have taken its row out of usage_events by then.
CREATE TABLE IF NOT EXISTS usage_keys (
  tenant          LowCardinality(String),
  key_digest      FixedString(16),
  stream_sequence UInt64,
  received_at     DateTime64(3, 'UTC'),
  event           LowCardinality(String),
  customer        String,
  occurred_at     DateTime64(3, 'UTC'),
  -- of the properties; the name and the customer are told by themselves, and times do not count
  payload         UInt64,
  INDEX sequences stream_sequence TYPE minmax GRANULARITY 64
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(received_at)
ORDER BY (tenant, key_digest, stream_sequence)
SETTINGS index_granularity = 2048, non_replicated_deduplication_window = 1000
