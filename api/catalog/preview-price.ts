/** The use case of previewing a price: what it comes to for a quantity, or for some events. Pure. */
import type { Static } from 'typebox';
import { FailureError } from '#schemas/failures.ts';
import type { Fault } from '#schemas/fault.ts';
import type { PricePreview } from '#schemas/http/price-preview.ts';
import { isMetered, type Price, priceFromJson, usagePartsOf } from '#schemas/price/price.ts';
import { parseQuantity, type Quantity, zeroQuantity } from '#schemas/quantity.ts';
import type { RatedCharge, RatingPolicy } from '#schemas/rated-line.ts';
import { rateCharge } from '../../rater/price/rate.ts';
import { usageOfEvents } from '../../rater/price/usage-of-events.ts';

type Asked = Static<typeof PricePreview>;

const fault = (field: string, code: string, message: string): Fault => ({ field, code, message });

const readValue = (text: string, field: string, faults: Fault[]): Quantity => {
  const value = parseQuantity(text);
  if (value === undefined)
    faults.push(fault(field, 'not_a_decimal', 'must have at most 76 digits before and 12 after the point'));
  return value ?? zeroQuantity;
};

/** One of the two says what was used, and some prices take only one of them. */
const usageFaults = (price: Price, { quantity, events }: Asked): Fault[] => {
  if (quantity !== undefined && events !== undefined)
    return [fault('events', 'not_allowed', 'must be left out where quantity is given')];
  const { cells, events: terms, amountProperty } = usagePartsOf(price);
  if (quantity !== undefined && (cells || terms || amountProperty !== undefined))
    return [fault('quantity', 'not_allowed', 'is not enough for this price, which looks at each event: give events')];
  if (quantity === undefined && events === undefined && isMetered(price))
    return [fault('quantity', 'missing', 'must be given, or events')];
  return [];
};

const refuse = (faults: readonly Fault[]): void => {
  if (faults.length > 0) throw new FailureError('VALIDATION_FAILED', undefined, faults);
};

/** Rounded by `own`, the organization's, unless another rounding is asked for. */
export const previewPrice = (asked: Asked, own: RatingPolicy): RatedCharge => {
  const parsed = priceFromJson(asked.price);
  if (!parsed.ok) throw new FailureError('VALIDATION_FAILED', undefined, parsed.faults);
  const price = parsed.value;
  const faults = usageFaults(price, asked);
  const quantity = readValue(asked.quantity ?? '1', 'quantity', faults);
  const events = (asked.events ?? []).map((event, index) => ({
    value: readValue(event.quantity, `events[${index}].quantity`, faults),
    properties: new Map(Object.entries(event.properties ?? {})),
  }));
  refuse(faults);
  const charge = { code: 'preview', name: 'Preview', meter: isMetered(price) ? 'preview' : null, price };
  const policy = { rounding: asked.rounding ?? own.rounding };
  return rateCharge(charge, asked.events ? usageOfEvents(price, events) : { quantity }, asked.currency, policy);
};
