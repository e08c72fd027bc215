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

-- Time is cut in order from now on. Months that were left out, as a later one was billed first, wait to be billed; their ids are what
-- schemas/billing-period.ts gives them.
INSERT INTO billing_periods (id, organization_id, subscription_id, customer_id, plan_version_id, billing_start, billing_end, segment, span_start, span_end,
  billing_month, state, created_at)
SELECT 'bpd_' || lpad(to_hex(m.start_ms), 12, '0') || left(encode(sha256(convert_to(m.subscription_id || ' ' || m.start_ms || ' 1', 'UTF8')), 'hex'), 20),
  m.organization_id, m.subscription_id, m.customer_id, m.plan_version_id, m.month_start, m.month_end, 1, m.span_start, m.span_end,
  to_char(m.month_start AT TIME ZONE 'UTC', 'YYYY-MM'), 'open', clock_timestamp()
FROM (
  SELECT s.organization_id, s.id AS subscription_id, s.customer_id, s.plan_version_id, k.month_start, k.month_end,
    (extract(epoch FROM k.month_start) * 1000)::bigint AS start_ms, greatest(k.month_start, s.started_at) AS span_start,
    least(k.month_end, s.ended_at) AS span_end
  FROM subscriptions s
  CROSS JOIN LATERAL (SELECT max(p.billing_start) AS newest FROM billing_periods p WHERE p.subscription_id = s.id) AS n
  CROSS JOIN LATERAL (
    SELECT g AT TIME ZONE 'UTC' AS month_start, (g + interval '1 month') AT TIME ZONE 'UTC' AS month_end
    FROM generate_series(date_trunc('month', s.started_at AT TIME ZONE 'UTC'), (n.newest - interval '1 day') AT TIME ZONE 'UTC', interval '1 month') AS g
  ) AS k
) AS m
WHERE m.span_start < m.span_end
ON CONFLICT (subscription_id, billing_start, segment) DO NOTHING;
