-- What an organization says of itself and of its bills; each world for itself. A row that is made without a word of it has the defaults: the first start and the
-- command that makes sandboxes know nothing of settings.
ALTER TABLE organizations
  ADD COLUMN rounding text NOT NULL DEFAULT 'half_up' CHECK (rounding IN ('half_up', 'half_even')),
  ADD COLUMN metadata jsonb NOT NULL DEFAULT '{}',
  ADD COLUMN version integer NOT NULL DEFAULT 1,
  ADD COLUMN updated_at timestamptz;
UPDATE organizations SET updated_at = created_at;
ALTER TABLE organizations
  ALTER COLUMN updated_at SET DEFAULT clock_timestamp(),
  ALTER COLUMN updated_at SET NOT NULL;

-- Not the tier: that is no matter of whoever is on it.
GRANT UPDATE (name, rounding, metadata, version, updated_at) ON organizations TO millrace_app;
