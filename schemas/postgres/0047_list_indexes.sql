-- Lists: row-level security lets no index answer for a coalesce, and for a condition on one; a CASE is as good.
DROP INDEX subscriptions_by_look;
CREATE INDEX subscriptions_by_look ON subscriptions (organization_id, (CASE WHEN next_due_at IS NULL THEN clocked_due_at ELSE next_due_at END), id);
-- Asked for by nothing any more.
DROP INDEX subscriptions_clocked;
-- Trials that were broken off.
CREATE INDEX subscriptions_broken_trials ON subscriptions (organization_id, trial_ends_at DESC, id DESC) WHERE ended_at < trial_ends_at;
