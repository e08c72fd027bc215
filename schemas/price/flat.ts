import { amountField } from '#schemas/price/field.ts';
import { defineModel, type PriceOf } from '#schemas/price/model.ts';

/** One amount per billing period, whatever was used. */
export const flat = defineModel(
  'flat',
  { amount: amountField('Charged once per billing period.') },
  { title: 'FlatPrice', metered: false },
);
export type FlatPrice = PriceOf<typeof flat>;
