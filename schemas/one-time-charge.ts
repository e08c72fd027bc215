/** A one-time charge of a subscription as it is rated: like a charge of a plan that has a flat price. Pure. */
import type { ChargeJson } from '#schemas/plan.ts';

export const oneTimeChargeStates = ['pending', 'billed', 'removed'] as const;
export type OneTimeChargeState = (typeof oneTimeChargeStates)[number];

export const oneTimeQuantityMax = 1_000_000;
/** Of what is charged in one go. JSON readers that make numbers of amounts still tell its cents apart. */
export const oneTimeIntegerDigitsMax = 13;

/** By its id, which no charge of a plan can have as its code. `amount` is that of one. */
export const oneTimeChargeToJson = (id: string, name: string, amount: string): ChargeJson => ({
  code: id,
  name,
  meter: null,
  price: { model: 'flat', amount },
  timing: 'once',
});
