-- What belongs together belongs to one organization. Row-level security looks at the row that is written, not at the rows that it names; these keys do.
ALTER TABLE customers ADD UNIQUE (organization_id, id);
ALTER TABLE plans ADD UNIQUE (organization_id, id);
ALTER TABLE plan_versions ADD UNIQUE (organization_id, id);
ALTER TABLE subscriptions ADD UNIQUE (organization_id, id);
ALTER TABLE billing_runs ADD UNIQUE (organization_id, id);

ALTER TABLE plan_versions
  DROP CONSTRAINT plan_versions_plan_id_fkey,
  ADD FOREIGN KEY (organization_id, plan_id) REFERENCES plans (organization_id, id);
ALTER TABLE subscriptions
  DROP CONSTRAINT subscriptions_customer_id_fkey,
  DROP CONSTRAINT subscriptions_plan_version_id_fkey,
  ADD FOREIGN KEY (organization_id, customer_id) REFERENCES customers (organization_id, id),
  ADD FOREIGN KEY (organization_id, plan_version_id) REFERENCES plan_versions (organization_id, id);
ALTER TABLE billing_runs
  DROP CONSTRAINT billing_runs_customer_id_fkey,
  DROP CONSTRAINT billing_runs_subscription_id_fkey,
  ADD FOREIGN KEY (organization_id, customer_id) REFERENCES customers (organization_id, id),
  ADD FOREIGN KEY (organization_id, subscription_id) REFERENCES subscriptions (organization_id, id);
ALTER TABLE rated_lines
  DROP CONSTRAINT rated_lines_subscription_id_fkey,
  DROP CONSTRAINT rated_lines_plan_version_id_fkey,
  ADD FOREIGN KEY (organization_id, subscription_id) REFERENCES subscriptions (organization_id, id),
  ADD FOREIGN KEY (organization_id, plan_version_id) REFERENCES plan_versions (organization_id, id);
ALTER TABLE invoices
  DROP CONSTRAINT invoices_customer_id_fkey,
  DROP CONSTRAINT invoices_subscription_id_fkey,
  DROP CONSTRAINT invoices_plan_version_id_fkey,
  DROP CONSTRAINT invoices_run_id_fkey,
  ADD FOREIGN KEY (organization_id, customer_id) REFERENCES customers (organization_id, id),
  ADD FOREIGN KEY (organization_id, subscription_id) REFERENCES subscriptions (organization_id, id),
  ADD FOREIGN KEY (organization_id, plan_version_id) REFERENCES plan_versions (organization_id, id),
  ADD FOREIGN KEY (organization_id, run_id) REFERENCES billing_runs (organization_id, id);
