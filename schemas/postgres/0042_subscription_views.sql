-- Lists: each filter and each sort of them has an index that gives its rows in their order, or few enough of them to be sorted.
DROP INDEX subscriptions_by_customer;
CREATE INDEX subscriptions_by_customer ON subscriptions (customer_id, created_at DESC, id DESC);
CREATE INDEX subscriptions_by_start ON subscriptions (organization_id, started_at DESC, id DESC);
CREATE INDEX subscriptions_by_version ON subscriptions (organization_id, plan_version_id, created_at DESC, id DESC);
CREATE INDEX subscriptions_by_look ON subscriptions (organization_id, (CASE WHEN next_due_at IS NULL THEN clocked_due_at ELSE next_due_at END), id);
-- By state: those without an end, those that came to one, and what may be in a trial.
CREATE INDEX subscriptions_endless ON subscriptions (organization_id, created_at DESC, id DESC) WHERE ended_at IS NULL;
CREATE INDEX subscriptions_by_cancellation ON subscriptions (organization_id, ended_at DESC, id DESC) WHERE canceled_at IS NOT NULL;
CREATE INDEX subscriptions_ended ON subscriptions (organization_id, ended_at DESC, id DESC) WHERE ended_at IS NOT NULL AND canceled_at IS NULL;
CREATE INDEX subscriptions_by_trial_end ON subscriptions (organization_id, trial_ends_at DESC, id DESC) WHERE trial_ends_at IS NOT NULL;
-- What was paused at any time, and what has or had another plan than it began with.
CREATE INDEX subscription_changes_pauses ON subscription_changes (organization_id, subscription_id) WHERE kind = 'pause' AND undone_at IS NULL;
CREATE INDEX subscription_changes_plans ON subscription_changes (organization_id, plan_version_id, subscription_id) WHERE kind = 'plan' AND undone_at IS NULL;
-- Trials that were broken off.
CREATE INDEX subscriptions_broken_trials ON subscriptions (organization_id, trial_ends_at DESC, id DESC) WHERE ended_at < trial_ends_at;
