-- Each subscription has billing periods of its own: of an interval, from an anchor, in a time zone. Until here all were months of the calendar in UTC.

-- IANA. What new subscriptions of a customer are billed in.
ALTER TABLE customers ADD COLUMN time_zone text NOT NULL DEFAULT 'UTC';

-- The interval is that of the plan version, and stands still as the version does. The anchor is the calendar and the clock of the zone, and no instant.
ALTER TABLE subscriptions
  ADD COLUMN interval_unit text NOT NULL DEFAULT 'month' CHECK (interval_unit IN ('day', 'week', 'month', 'quarter', 'year')),
  ADD COLUMN interval_count integer NOT NULL DEFAULT 1 CHECK (interval_count > 0),
  ADD COLUMN billing_anchor text NOT NULL DEFAULT '2000-01-01T00:00:00.000',
  ADD COLUMN time_zone text NOT NULL DEFAULT 'UTC';

-- The month of the calendar, in the subscription's zone, in which the last moment of the span lies: `2026-10`. A run of a month bills what ended in it.
ALTER TABLE billing_periods ADD COLUMN billing_month text;
ALTER TABLE billing_periods DISABLE TRIGGER stays;
UPDATE billing_periods SET billing_month = to_char((span_end - interval '1 millisecond') AT TIME ZONE 'UTC', 'YYYY-MM');
ALTER TABLE billing_periods ENABLE TRIGGER stays;
ALTER TABLE billing_periods ALTER COLUMN billing_month SET NOT NULL, ADD CHECK (billing_month ~ '^\d{4}-\d{2}$');
DROP INDEX billing_periods_open;
CREATE INDEX billing_periods_open ON billing_periods (organization_id, billing_month, customer_id, subscription_id, segment) WHERE state = 'open';
CREATE INDEX billing_periods_by_month ON billing_periods (organization_id, billing_month);

-- A part of a billing period may be charged in part, also in a dry run.
ALTER TABLE rating_run_periods ADD COLUMN billing_start timestamptz, ADD COLUMN billing_end timestamptz;
UPDATE rating_run_periods SET billing_start = span_start, billing_end = span_end;
ALTER TABLE rating_run_periods ALTER COLUMN billing_start SET NOT NULL, ALTER COLUMN billing_end SET NOT NULL;
