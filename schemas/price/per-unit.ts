import { amountField } from '#schemas/price/field.ts';
import { checkBounds, defineModel, meteredFields, type PriceOf } from '#schemas/price/model.ts';

/** Every unit after the free ones costs the same. */
export const perUnit = defineModel('per_unit', meteredFields({ unitAmount: amountField('Charged for each unit.') }), {
  title: 'PerUnitPrice',
  check: checkBounds,
});
export type PerUnitPrice = PriceOf<typeof perUnit>;
