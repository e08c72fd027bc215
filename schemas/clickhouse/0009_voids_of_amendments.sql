-- An amendment travels as rows of a message like any other: one that voids, under the organization's name with a zero byte behind it, and one that replaces.
-- Columns are named with their table: a bare `tenant` or `event` would mean the column that the query makes, and no row would pass the condition.
CREATE MATERIALIZED VIEW IF NOT EXISTS voids_of_amendments TO usage_voids AS
SELECT substring(e.tenant, 1, length(e.tenant) - 1) AS tenant, CAST(e.properties.event AS String) AS event, e.customer AS customer, e.occurred_at AS occurred_at,
  toFixedString(unhex(CAST(e.properties.row_digest AS String)), 16) AS row_digest, 0 AS row_sequence, e.stream_sequence AS void_sequence,
  e.event AS reason, substring(e.idempotency_key, 2) AS amendment_id, e.received_at AS received_at
FROM usage_events AS e WHERE endsWith(e.tenant, '\0')
