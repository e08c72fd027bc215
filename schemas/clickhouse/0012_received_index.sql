-- What was received in a span is asked for by the hour of receipt, which the order of the table knows nothing of: with the bounds of each granule, the parts of other
-- months are left out without being read.
ALTER TABLE usage_events ADD INDEX IF NOT EXISTS received received_at TYPE minmax GRANULARITY 1
