-- One row per segment of a closed generation of the identity check: a negative filter over the keys of a range of sequences, cut by the first bits of their hash.
-- Immutable; a generation counts once all its segments are there.
CREATE TABLE IF NOT EXISTS key_filters (
  stream         LowCardinality(String),
  from_sequence  UInt64,
  to_sequence    UInt64,
  segment        UInt16,
  segments       UInt16,
  keys           UInt64,
  -- the latest receipt of an event of the generation
  received_until DateTime64(3, 'UTC'),
  filter         String CODEC(NONE)
)
ENGINE = ReplacingMergeTree
ORDER BY (stream, from_sequence, to_sequence, segment)
