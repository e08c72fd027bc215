-- Days whose totals are made next, in the states that they are to be made of: written down before their events are read, so that whatever is stored meanwhile makes
-- them due again. A batch is of one process, and goes with its partition; what a dead one left goes by its age.
CREATE TABLE IF NOT EXISTS usage_due (
  batch        String,
  -- days that one statement makes; 0 where something of the day is not checked yet, and nothing is made of it
  piece        UInt16,
  customer     String,
  day          Date,
  day_rows     UInt64,
  day_sequence UInt64,
  written_at   DateTime DEFAULT now()
)
ENGINE = MergeTree
PARTITION BY batch
ORDER BY (piece, customer, day)
TTL written_at + INTERVAL 1 HOUR
SETTINGS index_granularity = 1024
