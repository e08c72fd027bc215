-- One row per day (UTC) of a customer's events of one name: how far what is stored of it has changed. Whoever keeps a figure of a day keeps the state that it was
-- made of beside it, and it holds for as long as the day has that state: every block of events or voids that is stored makes another one, a repeated one too.
CREATE TABLE IF NOT EXISTS usage_days (
  tenant     LowCardinality(String),
  event      LowCardinality(String),
  customer   String,
  day        Date,
  -- rows that were written of the day: only ever more
  rows       SimpleAggregateFunction(sum, UInt64),
  -- the highest of its events and voids
  sequence   SimpleAggregateFunction(max, UInt64),
  changed_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
  INDEX changed changed_at TYPE minmax GRANULARITY 1
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(day)
ORDER BY (tenant, event, customer, day)
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 1000
