-- Shards that killed their processes too often are looked for at every lease; there are hardly ever any. Without an index of their own, which 0016 had taken away
-- with that of all open shards, every shard that ever was is read for it.
CREATE INDEX billing_run_shards_deadly ON billing_run_shards (leased_until) WHERE state IN ('queued', 'rated') AND attempts >= 20;
