CREATE MATERIALIZED VIEW IF NOT EXISTS days_of_voids TO usage_days AS
SELECT tenant, event, customer, toDate(occurred_at) AS day, count() AS rows, max(void_sequence) AS sequence, now64(3, 'UTC') AS changed_at
FROM usage_voids GROUP BY tenant, event, customer, day
