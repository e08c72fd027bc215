-- A wide part has several files for each property. Parts that are merged again within minutes cost a third less where they stay in one file; the large ones,
-- which queries read for months, are wide as before.
ALTER TABLE usage_events MODIFY SETTING min_bytes_for_wide_part = 134217728
