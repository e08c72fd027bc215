import { amountField, tiersField } from '#schemas/price/field.ts';
import { checkBounds, defineModel, meteredFields, type PriceOf } from '#schemas/price/model.ts';

/** One fee, which the tier says that the last unit lies in; nothing where nothing was used. */
export const tieredFlat = defineModel(
  'tiered_flat',
  meteredFields({
    tiers: tiersField('FeeTier', { flatAmount: amountField('The fee if the quantity ends in this tier.') }),
  }),
  { title: 'TieredFlatPrice', check: checkBounds },
);
export type TieredFlatPrice = PriceOf<typeof tieredFlat>;
