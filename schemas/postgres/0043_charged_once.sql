-- What is charged once: a part of a subscription's time that is an instant (schemas/once-parts.ts). Its `item` is the id of the plan or add-on that charges it.
ALTER TABLE billing_periods
  DROP CONSTRAINT billing_periods_timing_check,
  ADD CONSTRAINT billing_periods_timing_check CHECK (timing IN ('arrears', 'advance', 'credit', 'once'));
ALTER TABLE rating_run_periods
  DROP CONSTRAINT rating_run_periods_timing_check,
  ADD CONSTRAINT rating_run_periods_timing_check CHECK (timing IN ('arrears', 'advance', 'credit', 'once'));
-- Once, whatever becomes of the subscription.
CREATE UNIQUE INDEX billing_periods_charged_once ON billing_periods (subscription_id, item, counted) WHERE timing = 'once';

-- What a subscription is charged once beside its plan: it waits until it is due, and is then written down as a part whose `item` is its id.
CREATE TABLE one_time_charges (
  id                text PRIMARY KEY,
  organization_id   text NOT NULL REFERENCES organizations,
  subscription_id   text NOT NULL,
  name              text NOT NULL,
  amount            numeric NOT NULL CHECK (amount > 0),
  -- Where the amount is that of so many.
  unit_amount       numeric,
  quantity          integer CHECK (quantity > 0),
  -- From when on it is charged; it is due then, or when the billing period ends.
  effective_at      timestamptz NOT NULL,
  bills             text NOT NULL CHECK (bills IN ('now', 'next')),
  -- Once it is written down to be billed.
  billing_period_id text REFERENCES billing_periods,
  removed_at        timestamptz CHECK (removed_at IS NULL OR billing_period_id IS NULL),
  metadata          jsonb NOT NULL,
  version           integer NOT NULL,
  created_at        timestamptz NOT NULL,
  updated_at        timestamptz NOT NULL,
  CHECK (num_nulls(unit_amount, quantity) <> 1 AND amount = coalesce(unit_amount * quantity, amount)),
  FOREIGN KEY (organization_id, subscription_id) REFERENCES subscriptions (organization_id, id)
);
CREATE INDEX one_time_charges_by_subscription ON one_time_charges (organization_id, subscription_id, created_at, id);
-- Those that wait.
CREATE INDEX one_time_charges_pending ON one_time_charges (subscription_id, effective_at, id) WHERE billing_period_id IS NULL AND removed_at IS NULL;
GRANT SELECT ON one_time_charges TO millrace_app, millrace_worker;
GRANT INSERT, UPDATE (removed_at, version, updated_at) ON one_time_charges TO millrace_app;
GRANT UPDATE (billing_period_id) ON one_time_charges TO millrace_worker;
ALTER TABLE one_time_charges ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_organization ON one_time_charges TO millrace_app USING (organization_id = (SELECT current_organization()));
CREATE POLICY every_organization ON one_time_charges TO millrace_worker USING (true);

-- Most have never had one, and are spared the question.
ALTER TABLE subscriptions ADD COLUMN has_charges boolean NOT NULL DEFAULT false;

-- What becomes, at a cancellation, of the usage of the billing period in which the subscription ends; null, from before, is billed.
ALTER TABLE subscriptions ADD COLUMN cancellation_final_usage text CHECK (cancellation_final_usage IN ('billed', 'waived'));
-- Whether nothing of a part is charged for usage.
ALTER TABLE billing_periods ADD COLUMN usage_waived boolean NOT NULL DEFAULT false;
ALTER TABLE rating_run_periods ADD COLUMN usage_waived boolean NOT NULL DEFAULT false;
