-- A subscription ends by being canceled, at once or at an instant to come, until which that can be taken back. What state it is in follows from these times
-- (schemas/subscription-state.ts); `state` is what it was in releases before, and decides nothing.
ALTER TABLE subscriptions
  ADD COLUMN canceled_at timestamptz CHECK (canceled_at IS NULL OR ended_at IS NOT NULL),
  ADD COLUMN cancellation_reason text CHECK (cancellation_reason IS NULL OR canceled_at IS NOT NULL),
  DROP CONSTRAINT subscriptions_check,
  -- One that is canceled before it begins has no time at all.
  ADD CONSTRAINT subscriptions_time CHECK (ended_at >= started_at);
