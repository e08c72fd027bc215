-- What a rated line names is what its billing period names: one key says so, where four said that each of them is there. The organization of a row is that of the
-- subscription that it names, and those keys go on to the organization.
ALTER TABLE billing_periods
  DROP CONSTRAINT billing_periods_organization_id_fkey,
  ADD CONSTRAINT billing_periods_of_lines UNIQUE (id, organization_id, subscription_id, plan_version_id);
ALTER TABLE rated_lines
  DROP CONSTRAINT rated_lines_organization_id_fkey,
  DROP CONSTRAINT rated_lines_organization_id_subscription_id_fkey,
  DROP CONSTRAINT rated_lines_organization_id_plan_version_id_fkey,
  DROP CONSTRAINT rated_lines_organization_id_billing_period_id_fkey,
  -- What was rated before stays as it is.
  ADD FOREIGN KEY (billing_period_id, organization_id, subscription_id, plan_version_id)
    REFERENCES billing_periods (id, organization_id, subscription_id, plan_version_id) NOT VALID;
ALTER TABLE billing_periods DROP CONSTRAINT billing_periods_organization_id_id_key;
