-- The days of what was stored before they were kept. Run again it makes other states of the same days, of which figures are made anew.
INSERT INTO usage_days (tenant, event, customer, day, rows, sequence, changed_at)
SELECT tenant, event, customer, day, sum(rows), max(sequence), now64(3, 'UTC')
FROM (
  SELECT tenant, event, customer, toDate(occurred_at) AS day, count() AS rows, max(stream_sequence) AS sequence
  FROM usage_events WHERE NOT endsWith(tenant, '\0') GROUP BY tenant, event, customer, day
  UNION ALL
  SELECT tenant, event, customer, toDate(occurred_at) AS day, count() AS rows, max(void_sequence) AS sequence
  FROM usage_voids GROUP BY tenant, event, customer, day
)
GROUP BY tenant, event, customer, day
SETTINGS max_partitions_per_insert_block = 0
