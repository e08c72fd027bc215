/** What the audit log digests of a subscription beyond its first columns: release by release, and its ledger. */

/** Since subscriptions have billing cycles of their own, and are canceled. */
export const subscriptionCycleColumns = {
  interval_unit: 'text',
  interval_count: 'text',
  billing_anchor: 'text',
  time_zone: 'text',
  canceled_at: 'instant',
  cancellation_reason: 'text',
} as const;

/** Since what they are billed for changes over their time. */
export const subscriptionTermColumns = {
  seats: 'text',
  trial_ends_at: 'instant',
  trial_end_action: 'text',
  cancellation_refund: 'text',
} as const;

export const subscriptionChanges = {
  table: 'subscription_changes',
  parent: 'subscription_id',
  order: ['id'],
  columns: {
    id: 'text',
    organization_id: 'text',
    subscription_id: 'text',
    kind: 'text',
    effective_at: 'instant',
    plan_version_id: 'text',
    quantity: 'text',
    interval_unit: 'text',
    interval_count: 'text',
    usage: 'text',
    bills: 'text',
    created_at: 'instant',
    undone_at: 'instant',
  },
  // Most have none, and are spared the question.
  when: 't.has_changes',
} as const;
