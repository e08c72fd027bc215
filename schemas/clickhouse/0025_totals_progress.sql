-- How far the totals of a meter version have come while they are made for the first time, and that they were: for who asks how a new meter is getting on. Written after
-- each batch of days, by whichever rater made it; nothing is decided by it.
CREATE TABLE IF NOT EXISTS totals_progress (
  tenant        LowCardinality(String),
  meter_version String,
  -- days (UTC) of customers that had usage when the filling began, and so many of them have totals
  days          UInt64,
  days_made     UInt64,
  -- everything up to it is in the totals that were made last
  watermark     UInt64,
  -- 1 once nothing was left to be made
  is_filled     UInt8,
  written_at    DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(written_at)
ORDER BY (tenant, meter_version)
SETTINGS index_granularity = 1024
