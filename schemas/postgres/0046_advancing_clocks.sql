-- Clocks that advance, for whoever looks each minute whether one stands still as a process died with its job.
CREATE INDEX test_clocks_advancing ON test_clocks (updated_at) WHERE state = 'advancing';
