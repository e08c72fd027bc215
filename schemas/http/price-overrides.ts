/** Price overrides in requests and answers. */
import { Type } from 'typebox';
import { planExample } from '#schemas/http/catalog.ts';
import { customerExample } from '#schemas/http/customers.ts';
import { exampleHead, exampleId } from '#schemas/http/example-parts.ts';
import {
  Code,
  CurrencyCode,
  CustomerName,
  closed,
  GivenInstant,
  Instant,
  idOf,
  idParam,
  Metadata,
  nullable,
  resourceFields,
} from '#schemas/http/fields.ts';
import { meteredChargeExample } from '#schemas/http/plan.ts';
import { anyPriceSchema } from '#schemas/price/price.ts';
import { tierCounts } from '#schemas/price-span.ts';

const priceExample = { model: 'per_unit', unit_amount: '0.000015', free_units: '1000' };
const newOverrideExample = {
  plan: planExample.code,
  charge: meteredChargeExample.code,
  customer_id: customerExample.external_id,
  currency: planExample.currency,
  price: priceExample,
  effective_from: '2027-01-15T00:00:00Z',
};
const overrideExample = {
  id: exampleId('pov', 30),
  plan_id: planExample.id,
  charge: newOverrideExample.charge,
  customer_id: customerExample.id,
  currency: newOverrideExample.currency,
  price: priceExample,
  tiers: 'restart',
  effective_from: '2027-01-15T00:00:00.000Z',
  effective_until: null,
  ...exampleHead,
};

export const PriceOverrideId = idParam(overrideExample.id);

export const tierCount = Type.Enum([...tierCounts], {
  title: 'TierCount',
  description:
    'How units are counted from the moment on when the price begins, and again when it ends: from the first one (`restart`), or behind those of the price before (`continue`).',
});

const fields = {
  plan: Type.Unsafe<string>({ ...Code, description: 'Code or id of a plan.' }),
  charge: Type.Unsafe<string>({ ...Code, description: 'Code of a charge of the plan.' }),
  customer_id: Type.Optional(
    Type.Union([CustomerName, Type.Null()], { description: 'Null or absent: of everyone who has the plan.' }),
  ),
  currency: Type.Optional(CurrencyCode),
  tiers: Type.Optional(tierCount),
  effective_from: GivenInstant,
  effective_until: Type.Optional(nullable(GivenInstant)),
  metadata: Type.Optional(Metadata),
};

/** The price is read by `priceFromJson`, which names every fault at its place; this bounds what comes in. */
export const NewPriceOverride = Type.Object({ ...fields, price: Type.Unknown() }, closed);

export const NewPriceOverrideDocument = Type.Object(
  {
    ...fields,
    price: anyPriceSchema('New'),
  },
  {
    ...closed,
    title: 'NewPriceOverride',
    description:
      "The price is of the model that the charge's own has. `currency` is by default the plan's own; a price stands in that currency alone.",
    examples: [newOverrideExample],
  },
);

export const PriceOverridePatch = Type.Object(
  { effective_until: Type.Optional(nullable(GivenInstant)), metadata: Type.Optional(Metadata) },
  {
    ...closed,
    title: 'PriceOverridePatch',
    minProperties: 1,
    description: 'An end that is the beginning takes the price back. All else of a price stays for good.',
    examples: [{ effective_until: '2027-07-01T00:00:00Z' }],
  },
);

export const PriceOverride = Type.Object(
  {
    id: idOf('pov'),
    plan_id: idOf('pln'),
    charge: Code,
    customer_id: nullable(idOf('cus')),
    currency: CurrencyCode,
    price: anyPriceSchema(''),
    tiers: tierCount,
    effective_from: Instant,
    effective_until: nullable(Instant),
    ...resourceFields,
  },
  { ...closed, title: 'PriceOverride', examples: [overrideExample] },
);
