-- One row per stream: up to which sequence every stored event was held against all that came before it. What bills, and what must repeat exactly, reads no further.
CREATE TABLE identity_checks (
  stream           text PRIMARY KEY,
  checked_sequence bigint NOT NULL,
  checked_at       timestamptz NOT NULL
);
GRANT SELECT ON identity_checks TO millrace_app;
GRANT SELECT, INSERT, UPDATE ON identity_checks TO millrace_worker;
-- Sequences belong to the installation, and say nothing of an organization.
ALTER TABLE identity_checks ENABLE ROW LEVEL SECURITY;
CREATE POLICY of_the_installation ON identity_checks TO millrace_app, millrace_worker USING (true);
