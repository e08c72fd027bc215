-- What has come between two sequences is asked for several times a second, whosever it is: parts and granules that hold none of them are left out without being read.
ALTER TABLE usage_events ADD INDEX IF NOT EXISTS sequences stream_sequence TYPE minmax GRANULARITY 1
