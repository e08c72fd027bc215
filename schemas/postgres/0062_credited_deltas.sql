-- What a delta takes back may be given back by credit notes of the invoices that billed it, where the plan version says so.
ALTER TABLE billing_periods
  DROP CONSTRAINT billing_periods_state_check,
  ADD CONSTRAINT billing_periods_state_check CHECK (state IN ('open', 'billed', 'unchanged', 'reported', 'credited')) NOT VALID;

-- The delta that it gives back; null of what somebody asked for. A delta has one for each invoice that billed some of it.
ALTER TABLE credit_notes
  ADD COLUMN delta_id text REFERENCES billing_periods,
  ADD CONSTRAINT credit_notes_of_a_delta CHECK (delta_id IS NULL OR reason = 'late_usage') NOT VALID;
CREATE UNIQUE INDEX credit_notes_by_delta ON credit_notes (delta_id, invoice_id) WHERE delta_id IS NOT NULL;

-- What a delta changes of discounts is of the invoice that billed it first, beside what that used itself.
ALTER TABLE discount_uses ADD COLUMN delta_id text REFERENCES billing_periods;
DROP INDEX discount_uses_counted;
CREATE UNIQUE INDEX discount_uses_counted ON discount_uses
  (discount_id, invoice_id, coalesce(subscription_id, ''), coalesce(period_start, '-infinity'), coalesce(delta_id, ''));
