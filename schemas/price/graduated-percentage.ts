import { amountOrZeroField, rateField, tiersField } from '#schemas/price/field.ts';
import { checkBounds, defineModel, meteredFields, type PriceOf } from '#schemas/price/model.ts';

/** Each tier has a share of the value inside it. */
export const graduatedPercentage = defineModel(
  'graduated_percentage',
  meteredFields({
    tiers: tiersField('PercentageTier', {
      rate: rateField('percent', 'Percent of the value inside the tier.'),
      flatAmount: amountOrZeroField('Charged once if any value falls into the tier; 0 if absent.'),
    }),
  }),
  { title: 'GraduatedPercentagePrice', check: checkBounds },
);
export type GraduatedPercentagePrice = PriceOf<typeof graduatedPercentage>;
