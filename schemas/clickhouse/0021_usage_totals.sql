-- What a version of a meter makes of one day (UTC) of a customer, and the state of the day (usage_days) that it was made of: it holds while the day has that state.
-- One row holds all of the day, so one that is made anew takes its place whole. A cell is what a quarter of an hour has of one group: quarters serve every time zone
-- whose offset is whole quarters. What a group has of the whole day stands beside its cells. Arrays that the aggregation has no use for are empty.
CREATE TABLE IF NOT EXISTS usage_totals (
  tenant         LowCardinality(String),
  meter_version  LowCardinality(String),
  customer       String,
  day            Date,
  day_rows       UInt64,
  day_sequence   UInt64,
  -- 0 where the day has more cells than are kept: it is read from its events
  is_kept        UInt8,
  -- values of the meter's group_by, in its order
  groups         Array(Array(Nullable(String))),
  group_events   Array(UInt64),
  group_unmeasured Array(UInt64),
  group_value    Array(Int256),
  group_moment   Array(Int256),
  group_at       Array(Int64),
  group_key      Array(String),
  -- place in groups, from 1
  cell_group     Array(UInt32),
  cell_quarter   Array(UInt8),
  cell_events    Array(UInt64),
  cell_unmeasured Array(UInt64),
  -- at 10^-12: the sum, the extreme or the latest value
  cell_value     Array(Int256),
  -- the sum of values times the milliseconds from the begin of the day to their event
  cell_moment    Array(Int256),
  -- of the latest value
  cell_at        Array(Int64),
  cell_key       Array(String)
)
ENGINE = ReplacingMergeTree(day_rows)
PARTITION BY toYYYYMM(day)
ORDER BY (tenant, meter_version, customer, day)
SETTINGS index_granularity = 1024
