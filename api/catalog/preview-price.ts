/** What a price comes to at an instant, for a quantity or for some events. Pure. */
import type { Static } from 'typebox';
import type { Caller } from '#platform/access/authenticate.ts';
import { FailureError } from '#schemas/failures.ts';
import type { Fault } from '#schemas/fault.ts';
import type { PricePreview } from '#schemas/http/price-preview.ts';
import type { Instant } from '#schemas/period.ts';
import { creditFaults } from '#schemas/price/credits.ts';
import { isMetered, type Price, priceFromJson, usagePartsOf } from '#schemas/price/price.ts';
import type { PriceSources } from '#schemas/price-span.ts';
import { parseQuantity, type Quantity, zeroQuantity } from '#schemas/quantity.ts';
import type { RatedCharge, RatingPolicy } from '#schemas/rated-line.ts';
import { rateCharge } from '../../rater/price/rate.ts';
import { type ReferringPrice, resolvePrice } from '../../rater/price/resolve-price.ts';
import type { SourceRows } from '../../rater/price/source-rows.ts';
import { usageOfEvents } from '../../rater/price/usage-of-events.ts';
import { refuseFaults } from '../route/resource-fields.ts';
import { sourceFaults } from './source-faults.ts';

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

export type Previewed = { readonly rated: RatedCharge; readonly sources: PriceSources };

/** The price as the request says it, whole: with the unit that it is in. */
export const chargeAsked = (asked: Asked, kind: Caller['kind']): ReferringPrice => {
  const parsed = priceFromJson(asked.price);
  if (!parsed.ok) throw new FailureError('VALIDATION_FAILED', undefined, parsed.faults);
  const charge = { price: parsed.value, creditUnit: asked.credit_unit ?? null };
  if (charge.creditUnit !== null) refuseFaults(creditFaults(charge.price, 'price', 'credit_unit'));
  if (charge.price.model === 'cost_book' && kind === 'publishable')
    refuseFaults([
      fault('price.model', 'not_allowed', 'is for secret keys: what units cost is nothing that everyone should see'),
    ]);
  return charge;
};

const places = { price: 'price', unit: 'credit_unit', options: 'price' };

/**
 * Rounded by `own`, the organization's, unless another is asked for. `charge` is what `chargeAsked` gave, `at` when
 * it is asked for, and `sources` what its price refers to.
 */
export const previewPrice = (
  asked: Asked,
  charge: ReferringPrice,
  sources: SourceRows,
  at: Instant,
  own: RatingPolicy,
): Previewed => {
  const faults = usageFaults(charge.price, asked);
  const quantity = readValue(asked.quantity ?? '1', 'quantity', faults);
  const events = (asked.events ?? []).map((event, index) => ({
    value: readValue(event.quantity, `events[${index}].quantity`, faults),
    properties: new Map(Object.entries(event.properties ?? {})),
  }));
  const { currency } = asked;
  faults.push(...sourceFaults({ ...charge, currencyOptions: new Map() }, currency, places, sources, at));
  refuseFaults(faults);
  const resolved = resolvePrice(charge, currency, at, sources);
  const { price } = resolved;
  const priced = { code: 'preview', name: 'Preview', meter: isMetered(price) ? 'preview' : null, price };
  const policy = { rounding: asked.rounding ?? own.rounding };
  const usage = asked.events ? usageOfEvents(price, events) : { quantity };
  return { rated: rateCharge(priced, usage, currency, policy), sources: resolved.sources };
};
