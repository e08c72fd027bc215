import { type Fault, fieldOf } from '#schemas/fault.ts';
import type { Amount } from '#schemas/money.ts';
import { amountField, choiceField, positiveQuantityField } from '#schemas/price/field.ts';
import { type Bounds, checkBounds, defineModel, meteredFields, type PriceOf } from '#schemas/price/model.ts';
import { oneQuantity, type Quantity } from '#schemas/quantity.ts';

type PackageValues = Bounds & {
  readonly packageAmount: Amount;
  readonly packageSize: Quantity;
  readonly partialPackage: 'round_up' | 'prorate';
};

/** What one unit of a package costs. Exact where packages are prorated: another price is refused. */
export const unitAmountOf = ({ packageAmount, packageSize }: Pick<PackageValues, 'packageAmount' | 'packageSize'>) =>
  ((packageAmount * oneQuantity) / packageSize) as Amount;

const check = (price: PackageValues, field: string, faults: Fault[]): void => {
  checkBounds(price, field, faults);
  if (price.partialPackage === 'round_up') return;
  if (unitAmountOf(price) * price.packageSize === price.packageAmount * oneQuantity) return;
  faults.push({
    field: fieldOf(field, 'package_amount'),
    code: 'not_a_decimal',
    message: 'must come to at most 12 decimals a unit where packages are prorated, so that no part of it is lost',
  });
};

/** `packageAmount` for each block of `packageSize` units after the free ones: each started one, or its used part. */
export const packagePrice = defineModel(
  'package',
  meteredFields({
    packageAmount: amountField('Charged for each package.'),
    packageSize: positiveQuantityField('Units in one package, more than zero.'),
    partialPackage: choiceField(
      ['round_up', 'prorate'],
      'Whether the last package costs its whole amount once it is started, or the part of it that is used.',
    ),
  }),
  { title: 'PackagePrice', check },
);
export type PackagePrice = PriceOf<typeof packagePrice>;
