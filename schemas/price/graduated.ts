import { amountField, amountOrZeroField, tiersField } from '#schemas/price/field.ts';
import { checkBounds, defineModel, meteredFields, type PriceOf } from '#schemas/price/model.ts';

/** Tiers of `graduated` and `volume`. */
export const unitTiers = () =>
  tiersField('Tier', {
    unitAmount: amountField('Charged for each unit inside the tier.'),
    flatAmount: amountOrZeroField('Charged once if any quantity falls into the tier; 0 if absent.'),
  });

/** Each tier prices only the units inside it. */
export const graduated = defineModel('graduated', meteredFields({ tiers: unitTiers() }), {
  title: 'GraduatedPrice',
  check: checkBounds,
});
export type GraduatedPrice = PriceOf<typeof graduated>;
