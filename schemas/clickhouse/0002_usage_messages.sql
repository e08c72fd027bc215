-- One row per stream message whose events are stored: what reached the store, to be held against what was accepted and against what is left once twins are
-- removed. All events of a message are of one tenant and bear one time of receipt. A message that is delivered again replaces its row; the time of receipt is
-- part of the key, as a stream that lost its end gives the same sequences to other messages.
CREATE TABLE IF NOT EXISTS usage_messages (
  tenant          LowCardinality(String),
  received_at     DateTime64(3, 'UTC'),
  stream_sequence UInt64,
  events          UInt32,
  stored_at       DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(received_at)
ORDER BY (tenant, received_at, stream_sequence)
