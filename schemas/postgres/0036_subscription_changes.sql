-- What a subscription is billed for changes over its time: its plan, its seats, its add-ons, whether it is paused. Each change is a row that says from when on; what
-- holds at an instant follows from them (schemas/subscription-terms.ts). A change lies never in time that is billed: it is made for now or for later.
CREATE TABLE subscription_changes (
  id              text PRIMARY KEY,
  organization_id text NOT NULL REFERENCES organizations,
  subscription_id text NOT NULL,
  kind            text NOT NULL CHECK (kind IN ('plan', 'seats', 'add_on', 'pause', 'resume')),
  effective_at    timestamptz NOT NULL,
  -- Of the plan, or of the add-on.
  plan_version_id text CHECK ((plan_version_id IS NOT NULL) = (kind IN ('plan', 'add_on'))),
  -- How many there are from then on; no add-ons are none.
  quantity        integer CHECK ((quantity IS NOT NULL) = (kind IN ('seats', 'add_on'))) CHECK (quantity >= 0 AND (quantity > 0 OR kind = 'add_on')),
  -- The interval of the billing periods under the plan.
  interval_unit   text CHECK (interval_unit IN ('day', 'week', 'month', 'quarter', 'year')) CHECK ((interval_unit IS NOT NULL) = (kind = 'plan')),
  interval_count  integer CHECK (interval_count > 0) CHECK ((interval_count IS NOT NULL) = (kind = 'plan')),
  -- What becomes of usage in a pause.
  usage           text CHECK (usage IN ('unbilled', 'refused')) CHECK ((usage IS NOT NULL) = (kind = 'pause')),
  -- When what was charged in advance is put right: at once, or with the next invoice.
  bills           text NOT NULL CHECK (bills IN ('now', 'next')),
  created_at      timestamptz NOT NULL,
  -- It never takes effect.
  undone_at       timestamptz,
  FOREIGN KEY (organization_id, subscription_id) REFERENCES subscriptions (organization_id, id),
  FOREIGN KEY (organization_id, plan_version_id) REFERENCES plan_versions (organization_id, id)
);
CREATE INDEX subscription_changes_by_subscription ON subscription_changes (subscription_id, effective_at, id);
CREATE INDEX subscription_changes_by_plan ON subscription_changes (plan_version_id) WHERE plan_version_id IS NOT NULL;
GRANT SELECT ON subscription_changes TO millrace_app, millrace_worker;
GRANT INSERT, UPDATE (undone_at) ON subscription_changes TO millrace_app;
ALTER TABLE subscription_changes ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_organization ON subscription_changes TO millrace_app USING (organization_id = (SELECT current_organization()));
CREATE POLICY every_organization ON subscription_changes TO millrace_worker USING (true);

ALTER TABLE subscriptions
  -- Those that it begins with, before any change.
  ADD COLUMN seats            integer NOT NULL DEFAULT 1 CHECK (seats > 0),
  ADD COLUMN has_changes      boolean NOT NULL DEFAULT false,
  ADD COLUMN trial_ends_at    timestamptz CHECK (trial_ends_at > started_at),
  ADD COLUMN trial_end_action text CHECK (trial_end_action IN ('activate', 'cancel', 'pause')),
  ADD CONSTRAINT subscriptions_trial CHECK ((trial_ends_at IS NULL) = (trial_end_action IS NULL)),
  -- What becomes, at a cancellation, of what was charged in advance.
  ADD COLUMN cancellation_refund text CHECK (cancellation_refund IN ('prorated', 'none')),
  -- All that was due until then is written down in billing_periods.
  ADD COLUMN cut_until        timestamptz,
  -- When it is to be looked at again for what is due; null is never.
  ADD COLUMN next_due_at      timestamptz;
-- Those from before have been billed by month; the first run of what is due looks at them all.
UPDATE subscriptions SET next_due_at = started_at;
GRANT UPDATE (cut_until, next_due_at) ON subscriptions TO millrace_worker;
CREATE INDEX subscriptions_due ON subscriptions (organization_id, next_due_at) WHERE next_due_at IS NOT NULL;

-- One row per thing to bill of a subscription: the charges of its plan or of an add-on that have an interval and a timing, over a stretch of time.
ALTER TABLE billing_periods
  -- 'plan', or the id of an add-on.
  ADD COLUMN item           text NOT NULL DEFAULT 'plan',
  -- A credit takes back what was charged in advance.
  ADD COLUMN timing         text NOT NULL DEFAULT 'arrears' CHECK (timing IN ('arrears', 'advance', 'credit')),
  -- Null, from before, is every charge of the plan version.
  ADD COLUMN interval_unit  text CHECK (interval_unit IN ('day', 'week', 'month', 'quarter', 'year')),
  ADD COLUMN interval_count integer CHECK (interval_count > 0),
  -- Whether it has the charges that are priced by a number (of seats, of add-ons), or those that are not; null, from before, is all of them.
  ADD COLUMN counted        boolean,
  -- Seats, or how many times the add-on is taken: [[from, quantity], ...] in milliseconds, from the begin of the span on; null is one.
  ADD COLUMN quantities     jsonb,
  -- Of a credit: when the price stood that it takes back.
  ADD COLUMN priced_at      timestamptz CHECK ((priced_at IS NOT NULL) = (timing = 'credit')),
  -- At which instant it falls due; what of a payer falls due at one is one invoice.
  ADD COLUMN due_at         timestamptz;
ALTER TABLE billing_periods DISABLE TRIGGER stays;
UPDATE billing_periods SET due_at = span_end;
ALTER TABLE billing_periods ENABLE TRIGGER stays;
ALTER TABLE billing_periods ALTER COLUMN due_at SET NOT NULL, ALTER COLUMN item DROP DEFAULT, ALTER COLUMN timing DROP DEFAULT;
-- At most one invoice bills it [I16], as there is one place for it to stand.
ALTER TABLE billing_periods DROP CONSTRAINT billing_periods_once;
-- The end of the billing period stands first: whoever cuts time asks for what stands behind an instant.
CREATE UNIQUE INDEX billing_periods_once ON billing_periods
  (subscription_id, billing_end, span_start, item, timing, coalesce(interval_unit, ''), coalesce(interval_count, 0), coalesce(counted, false));
DROP INDEX billing_periods_open;
CREATE INDEX billing_periods_open ON billing_periods (organization_id, due_at) WHERE state = 'open';

ALTER TABLE rating_run_periods
  ADD COLUMN item           text NOT NULL DEFAULT 'plan',
  ADD COLUMN timing         text NOT NULL DEFAULT 'arrears' CHECK (timing IN ('arrears', 'advance', 'credit')),
  ADD COLUMN interval_unit  text,
  ADD COLUMN interval_count integer,
  ADD COLUMN counted        boolean,
  ADD COLUMN quantities     jsonb,
  ADD COLUMN priced_at      timestamptz;
ALTER TABLE rating_run_periods ALTER COLUMN item DROP DEFAULT, ALTER COLUMN timing DROP DEFAULT;

-- A run of a month, or of all that is due: until an instant, and what was used until an earlier one, so that late events are waited for.
ALTER TABLE billing_runs
  ADD COLUMN due_until     timestamptz,
  ADD COLUMN arrears_until timestamptz,
  ADD CONSTRAINT billing_runs_due CHECK ((due_until IS NULL) = (arrears_until IS NULL) AND arrears_until <= due_until);

-- One invoice for all that falls due of a customer at an instant, or one for each subscription.
ALTER TABLE customers ADD COLUMN invoicing text NOT NULL DEFAULT 'per_subscription' CHECK (invoicing IN ('per_subscription', 'consolidated'));
