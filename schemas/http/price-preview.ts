/** What a price comes to for some usage, before any plan has it. */
import { Type } from 'typebox';
import { unitCodePattern, unitCodeRule } from '#schemas/credit-unit.ts';
import { CurrencyCode, closed, Decimal, formed, GivenInstant, RoundingModeName } from '#schemas/http/fields.ts';
import { PriceStep } from '#schemas/http/invoices.ts';
import { PriceSources } from '#schemas/http/price-sources.ts';
import { anyPriceSchema, priceModels } from '#schemas/price/price.ts';

const previewEventsMax = 1_000;

const PreviewEvent = Type.Object(
  {
    quantity: Type.Unsafe<string>({ ...Decimal, description: 'What the meter would measure of the event.' }),
    properties: Type.Optional(
      Type.Record(Type.String({ pattern: '^[^\\u0000]{1,255}$' }), Type.String({ maxLength: 1_000 }), {
        'x-expected-names': 'of 1 to 255 characters, none of them zero',
        maxProperties: 20,
        additionalProperties: false,
        description: 'Values by the name of a property, for a matrix and for amounts that events say.',
      }),
    ),
  },
  { ...closed, title: 'PricePreviewEvent' },
);

const usageFields = {
  credit_unit: Type.Optional(
    formed(unitCodePattern, unitCodeRule.about, { description: 'Code of the credit unit that the amounts are in.' }),
  ),
  at: Type.Optional(
    Type.Unsafe<string>({
      ...GivenInstant,
      description: 'When: of a cost book and a credit unit, what is in force then; now if absent.',
    }),
  ),
  currency: CurrencyCode,
  rounding: Type.Optional(RoundingModeName),
  quantity: Type.Optional(
    Type.Unsafe<string>({ ...Decimal, description: 'Used in all, at most 12 decimals; not beside `events`.' }),
  ),
  events: Type.Optional(
    Type.Array(PreviewEvent, {
      maxItems: previewEventsMax,
      description:
        'In the order of their time, summed; what a price of single events, a matrix or a dynamic price needs.',
    }),
  ),
};

/** Read in full by `priceFromJson`, which names every fault at its place; this bounds what comes in. */
export const PricePreview = Type.Object({ price: Type.Unknown(), ...usageFields }, closed);

export const PricePreviewDocument = Type.Object(
  { price: anyPriceSchema('New'), ...usageFields },
  {
    ...closed,
    title: 'PricePreview',
    description: 'Rounded as the organization has it where it says no `rounding`.',
    examples: [
      {
        price: {
          model: 'graduated',
          tiers: [
            { up_to: '100000', unit_amount: '0.000003' },
            { up_to: null, unit_amount: '0.0000024' },
          ],
        },
        currency: 'USD',
        quantity: '426684',
      },
    ],
  },
);

export const PricedPreview = Type.Object(
  {
    model: Type.Enum(
      priceModels.map(({ name }) => name),
      { title: 'PriceModel' },
    ),
    currency: CurrencyCode,
    rounding: RoundingModeName,
    quantity: Decimal,
    billable_quantity: Decimal,
    precise_amount: Type.Unsafe<string>({ ...Decimal, description: 'Before it is rounded; the sum of the steps.' }),
    amount: Type.Unsafe<string>({ ...Decimal, description: 'Rounded once, to minor units.' }),
    steps: Type.Array(PriceStep),
    sources: PriceSources,
  },
  {
    ...closed,
    title: 'PricedPreview',
    examples: [
      {
        model: 'graduated',
        currency: 'USD',
        rounding: 'half_up',
        quantity: '426684',
        billable_quantity: '426684',
        precise_amount: '1.0840416',
        amount: '1.08',
        steps: [
          {
            kind: 'units',
            from: '0',
            to: '100000',
            units: '100000',
            priced: '100000',
            unit_amount: '0.000003',
            flat_amount: '0',
            amount: '0.3',
          },
          {
            kind: 'units',
            from: '100000',
            to: null,
            units: '326684',
            priced: '326684',
            unit_amount: '0.0000024',
            flat_amount: '0',
            amount: '0.7840416',
          },
        ],
        sources: {},
      },
    ],
  },
);
