import assert from 'node:assert/strict';
import { zeroAmount } from '#schemas/money.ts';
import type { Tier } from '#schemas/price/field.ts';
import type { TieredFlatPrice } from '#schemas/price/tiered-flat.ts';
import type { VolumePrice } from '#schemas/price/volume.ts';
import { addQuantities, type Quantity, zeroQuantity } from '#schemas/quantity.ts';
import type { Priced, PriceStep } from '#schemas/rated-line.ts';
import { pricedOf, takeFreeUnits, unitsStep } from './steps.ts';

/** The tier that the last unit lies in: with bounds 100 and 200, unit 100 is the last of the first tier. */
const tierOf = <T extends Tier>(tiers: readonly T[], billable: Quantity): T => {
  const tier = tiers.find(({ upTo }) => upTo === null || billable <= upTo);
  assert(tier, 'the last tier has no bound');
  return tier;
};

const inOneTier = <T extends Tier>(
  { tiers, freeUnits }: { readonly tiers: readonly T[]; readonly freeUnits: Quantity },
  quantity: Quantity,
  stepIn: (tier: T, from: Quantity, to: Quantity | null, units: Quantity) => PriceStep,
): Priced => {
  const { billable, steps } = takeFreeUnits(quantity, freeUnits);
  if (billable > zeroQuantity) {
    const tier = tierOf(tiers, billable);
    const to = tier.upTo === null ? null : addQuantities(tier.upTo, freeUnits);
    steps.push(stepIn(tier, freeUnits, to, billable));
  }
  return pricedOf(billable, steps);
};

/** All units cost what the tier says that the last of them lies in, and its flat amount once. */
export const priceVolume = (price: VolumePrice, quantity: Quantity): Priced =>
  inOneTier(price, quantity, ({ unitAmount, flatAmount }, from, to, units) =>
    unitsStep(from, to, units, unitAmount, flatAmount),
  );

/** The fee of that tier, whatever the number of units. */
export const priceTieredFlat = (price: TieredFlatPrice, quantity: Quantity): Priced =>
  inOneTier(price, quantity, ({ flatAmount }, from, to, units) => unitsStep(from, to, units, zeroAmount, flatAmount));
