-- Rows of amendments are no events: what they make void changes a day by its void.
CREATE MATERIALIZED VIEW IF NOT EXISTS days_of_events TO usage_days AS
SELECT tenant, event, customer, toDate(occurred_at) AS day, count() AS rows, max(stream_sequence) AS sequence, now64(3, 'UTC') AS changed_at
FROM usage_events WHERE NOT endsWith(tenant, '\0') GROUP BY tenant, event, customer, day
