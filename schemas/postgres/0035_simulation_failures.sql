-- A billing period that a simulation could not rate is a failure of its customer under one plan, and stops no other: which period it was, and what was at fault.
ALTER TABLE simulation_results ADD COLUMN failed_start timestamptz;
ALTER TABLE simulation_results ADD COLUMN failed_end timestamptz CHECK (failed_end > failed_start);
ALTER TABLE simulation_results ADD COLUMN failure_cause text;
ALTER TABLE simulation_results ADD COLUMN failure_message text;
ALTER TABLE simulation_results ADD CONSTRAINT simulation_results_failed_period CHECK (
  num_nulls(failed_start, failed_end, failure_cause, failure_message)
    = CASE WHEN failure IN ('candidate_not_rated', 'baseline_not_rated') THEN 0 ELSE 4 END);
