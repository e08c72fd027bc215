import { unitTiers } from '#schemas/price/graduated.ts';
import { checkBounds, defineModel, meteredFields, type PriceOf } from '#schemas/price/model.ts';

/** All units cost what the tier says that the last of them lies in; so does the one flat amount. */
export const volume = defineModel('volume', meteredFields({ tiers: unitTiers() }), {
  title: 'VolumePrice',
  check: checkBounds,
});
export type VolumePrice = PriceOf<typeof volume>;
