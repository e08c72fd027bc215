-- A run that takes so many subscriptions at most cuts what is due in steps, and its first shards are rated meanwhile.
ALTER TABLE billing_runs ADD COLUMN is_cut boolean NOT NULL DEFAULT false;
UPDATE billing_runs SET is_cut = true WHERE state <> 'queued';
ALTER TABLE billing_runs ADD CONSTRAINT billing_runs_cut CHECK (is_cut OR state <> 'completed');
DROP INDEX billing_runs_queued;
CREATE INDEX billing_runs_to_cut ON billing_runs (leased_until NULLS FIRST, updated_at, id) WHERE NOT is_cut AND state IN ('queued', 'running');
