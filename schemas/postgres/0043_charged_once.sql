-- What is charged once: a part of a subscription's time that is an instant (schemas/once-parts.ts). Its `item` is the id of the plan or add-on that charges it.
ALTER TABLE billing_periods
  DROP CONSTRAINT billing_periods_timing_check,
  ADD CONSTRAINT billing_periods_timing_check CHECK (timing IN ('arrears', 'advance', 'credit', 'once'));
ALTER TABLE rating_run_periods
  DROP CONSTRAINT rating_run_periods_timing_check,
  ADD CONSTRAINT rating_run_periods_timing_check CHECK (timing IN ('arrears', 'advance', 'credit', 'once'));
-- Once, whatever becomes of the subscription.
CREATE UNIQUE INDEX billing_periods_charged_once ON billing_periods (subscription_id, item, counted) WHERE timing = 'once';
