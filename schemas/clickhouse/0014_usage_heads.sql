-- Up to which sequence anything is stored, by organization: one row of a few, where the events themselves would have to be read through.
CREATE TABLE IF NOT EXISTS usage_heads (
  tenant          LowCardinality(String),
  stream_sequence SimpleAggregateFunction(max, UInt64)
)
ENGINE = AggregatingMergeTree
ORDER BY tenant
