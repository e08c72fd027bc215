-- The same for the parts that were there before.
ALTER TABLE usage_events MATERIALIZE INDEX IF EXISTS sequences
