-- One row per reason why a stored event does not count: it is a later twin of another (row_sequence names the very row), or an amendment took its place (row_sequence
-- is 0: every row of that digest). Append-only. It holds for every watermark from void_sequence on, so a read at an earlier one repeats exactly.
-- event, customer and occurred_at are those of the void row, so that a query reads the voids of its own span only.
CREATE TABLE IF NOT EXISTS usage_voids (
  tenant        LowCardinality(String),
  event         LowCardinality(String),
  customer      String,
  occurred_at   DateTime64(3, 'UTC'),
  row_digest    FixedString(16),
  row_sequence  UInt64,
  void_sequence UInt64,
  -- twin, conflict (a twin with another payload), voided, replaced
  reason        LowCardinality(String),
  -- of the first event, for twins
  first_sequence UInt64 DEFAULT 0,
  amendment_id  String DEFAULT '',
  received_at   DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(occurred_at)
ORDER BY (tenant, event, customer, occurred_at, row_digest, row_sequence, void_sequence)
SETTINGS non_replicated_deduplication_window = 1000
