-- The messages of the events that were stored before messages were counted, as far as twins of them were not merged away. Run again it gives the same rows.
INSERT INTO usage_messages (tenant, received_at, stream_sequence, events)
SELECT tenant, min(received_at), stream_sequence, count() FROM usage_events GROUP BY tenant, stream_sequence
