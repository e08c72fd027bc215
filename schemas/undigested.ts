/** What no digest of the audit log holds, each with its reason: of columns, and of whole tables. */

/** Columns of audited tables that no digest holds. */
export const undigested: Readonly<Record<string, string>> = {
  'api_keys.last_used_at': 'moves with use, at most once a minute, and decides nothing',
  'billing_runs.started_at': 'is what progress is told by, and decides nothing',
  'billing_runs.is_cut': 'says how far the work on a run is, and is true of each that was completed',
  'billing_runs.attempts': 'counts how often a run was taken that waits, and decides nothing of one that has ended',
  'billing_periods.billing_month': 'follows from the end of the span and the time zone of the subscription',
  'billing_periods.usage_waived': 'decides which lines a billing period has, and these are hashed by what they charge',
  'one_time_charges.billing_period_id': 'names the billing period that was written from it, whose item names it',
  'subscriptions.has_charges': 'says whether there are one-time charges of it, which are digested by themselves',
  'billing_periods.payer_id': 'is the customer of the invoice that bills it',
  'billing_periods.consolidated': 'follows from what else is on the invoice that bills it',
  'subscriptions.cut_until': 'is progress of what cuts time: all that it wrote stands in billing_periods',
  'subscriptions.next_due_at': 'follows from the terms of the subscription and from what was cut',
  'test_clocks.now_at': 'moves by itself while the clock advances, and is of a sandbox alone',
  'test_clocks.state': 'moves by itself while the clock advances, and is of a sandbox alone',
  'test_clocks.target_at': 'moves by itself while the clock advances, and is of a sandbox alone',
  'test_clocks.failure': 'moves by itself while the clock advances, and is of a sandbox alone',
  'subscriptions.clocked_due_at': 'follows from the terms of the subscription and from what was cut',
  'plan_migrations.attempts': 'counts how often a migration was taken, and decides nothing of one that has ended',
  'plan_migrations.leases': 'counts how often a migration was taken, and decides nothing of one that has ended',
  'plan_migrations.seen_until': 'is progress of what moves subscriptions: all that it did stands in their changes',
  'plan_migrations.running_since': 'is what progress is told by, and decides nothing',
  'plan_migrations.done_before': 'is what progress is told by, and decides nothing',
  'simulations.attempts':
    'counts how often a simulation was taken that waits, and decides nothing of one that has ended',
};

/** Tables that hold no audited object. Lines of invoices are covered by the hash of their invoice. */
export const unaudited: Readonly<Record<string, string>> = {
  audit_log: 'is a chain itself, which is verified link by link',
  audit_heads: 'is held against the last link of its chain',
  outbox: 'says nothing that the entries beside it do not say, and is forgotten after 30 days',
  invoice_series: 'is held against the last link of its chain',
  data_keys: 'authenticate themselves: a wrapped key that was changed does not open',
  customer_keys: 'authenticate themselves: a wrapped key that was changed does not open',
  customer_counts: 'are sums of customers, told with lists of them; nothing is billed by them',
  idempotency_keys: 'hold answers for 24 hours; each is authenticated, and none decides what is billed',
  ingest_gateways: 'are measurements of the installation, and no object',
  ingest_counts: 'are measurements, held against the store by GET /v1/reconciliation',
  stream_losses: 'are measurements of the installation, and no object',
  identity_checks: 'is progress of a process, and moves with every event',
  rating_failures: 'say what was not rated, and nothing is billed by them',
  rating_run_periods: 'are what a dry run looked at, and nothing is billed by them',
  rating_run_lines: 'are forgotten after 30 days, and nothing is billed by them',
  rating_run_totals: 'are sums of lines that nothing is billed by',
  plan_migration_outcomes: 'say what became of subscriptions, whose changes have entries of their own',
  schema_migrations: 'belongs to the installation',
  simulation_shards: 'are work that is left of a simulation, and gone with its end',
  simulation_results: 'bill nothing, and are computed again from a simulation by whoever asks for the same one',
};
