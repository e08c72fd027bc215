-- Whether the events of a message were sent as a backfill: older than the horizon may be, with a scope of its own.
ALTER TABLE usage_messages ADD COLUMN IF NOT EXISTS is_backfill UInt8 DEFAULT 0
