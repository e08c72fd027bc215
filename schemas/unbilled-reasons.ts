/**
 * Why an event is on no invoice, in the one order in which reasons are told: the first that holds. Reconciliation
 * counts by it (api/events/fate-query.ts), and the fate of one event tells it of each charge
 * (api/events/event-fate.ts).
 */
export const unbilledReasons = [
  'voided',
  'replaced',
  'no_customer',
  'no_subscription',
  'trial',
  'paused',
  'no_charge',
  'unmeasured',
  'no_amount',
  'waived',
  'period_open',
  'late',
] as const;
export type UnbilledReason = (typeof unbilledReasons)[number];

/** The first that holds; one that is left out does not. */
export const firstReason = (holds: Readonly<Partial<Record<UnbilledReason, boolean>>>): UnbilledReason | undefined =>
  unbilledReasons.find((reason) => holds[reason]);

/** The word in the fate of one event, where an event that an amendment voided is `void`, as its state is. */
export const toFateReason = (reason: UnbilledReason) => (reason === 'voided' ? ('void' as const) : reason);
export type FateReason = ReturnType<typeof toFateReason>;
export const fateReasons: readonly FateReason[] = unbilledReasons.map(toFateReason);
