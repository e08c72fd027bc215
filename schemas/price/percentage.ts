import { type Fault, fieldOf } from '#schemas/fault.ts';
import type { Amount } from '#schemas/money.ts';
import { amountOrZeroField, countField, optionalAmountField, rateField } from '#schemas/price/field.ts';
import { type Bounds, checkBounds, defineModel, meteredFields, type PriceOf } from '#schemas/price/model.ts';
import type { EventTerms } from '#schemas/price/usage-parts.ts';
import { type Quantity, zeroQuantity } from '#schemas/quantity.ts';

const eventFields = {
  fixedAmount: amountOrZeroField('Charged for each event beside its share; 0 if absent.'),
  eventMinimumAmount: optionalAmountField('What an event costs at least.'),
  eventMaximumAmount: optionalAmountField('What an event costs at most.'),
  freeEvents: countField('The first events of a period, by time of usage, that cost nothing; 0 if absent.'),
};

type ShareValues = Bounds & {
  readonly rate: Amount;
  readonly fixedAmount: Amount;
  readonly eventMinimumAmount: Amount | null;
  readonly eventMaximumAmount: Amount | null;
  readonly freeEvents: bigint;
  readonly freeUnits: Quantity;
};

/** Undefined where no event has a price of its own, and the sum of the values is enough. */
export const eventTermsOf = (price: ShareValues): EventTerms | undefined =>
  price.fixedAmount === 0n &&
  price.eventMinimumAmount === null &&
  price.eventMaximumAmount === null &&
  price.freeEvents === 0n
    ? undefined
    : {
        rate: price.rate,
        fixedAmount: price.fixedAmount,
        minimumAmount: price.eventMinimumAmount,
        maximumAmount: price.eventMaximumAmount,
        freeEvents: price.freeEvents,
      };

const check = (price: ShareValues, field: string, faults: Fault[]): void => {
  checkBounds(price, field, faults);
  const { eventMinimumAmount: minimum, eventMaximumAmount: maximum } = price;
  if (minimum !== null && maximum !== null && maximum < minimum)
    faults.push({
      field: fieldOf(field, 'event_maximum_amount'),
      code: 'below_minimum',
      message: 'must not be less than event_minimum_amount',
    });
  // Which event a free unit belongs to would be anybody's guess.
  if (eventTermsOf(price) && price.freeUnits !== zeroQuantity)
    faults.push({
      field: fieldOf(field, 'free_units'),
      code: 'not_allowed',
      message: 'must be 0 where events have a price of their own; free_events says which are free',
    });
};

const partsOf = (price: ShareValues) => {
  const events = eventTermsOf(price);
  return events ? { events } : {};
};

/** A share of the value that is metered, and for each event a fixed part, a least and a most. */
export const percentage = defineModel(
  'percentage',
  meteredFields({ rate: rateField('percent', 'Percent of the value.'), ...eventFields }),
  { title: 'PercentagePrice', check, partsOf },
);
export type PercentagePrice = PriceOf<typeof percentage>;

/** The same with the share in hundredths of a percent. */
export const basisPoints = defineModel(
  'basis_points',
  meteredFields({ rate: rateField('basis_points', 'Of the value, in hundredths of a percent.'), ...eventFields }),
  { title: 'BasisPointsPrice', check, partsOf },
);
export type BasisPointsPrice = PriceOf<typeof basisPoints>;
