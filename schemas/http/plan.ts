/**
 * The exact JSON schema of a plan's charges and prices, closed, for the documents. What comes in is judged by `planVersionFromJson`, which names every fault at
 * its place; a test holds the two together. What no JSON schema can say, and only the reader refuses: bounds of tiers that do not increase, a null bound
 * that is not the last, a code that two charges of one plan have, a name with half of a surrogate pair.
 */
import { type TSchema, Type } from 'typebox';
import { CurrencyCode, closed, Metadata, NewCode } from '#schemas/http/fields.ts';
import { idFormAbout } from '#schemas/names.ts';
import { ChargeSchema, chargesMax, PlanVersionSchema } from '#schemas/plan.ts';
import { FlatPriceSchema, GraduatedPriceSchema, PackagePriceSchema, PerUnitPriceSchema, TierSchema, tiersMax } from '#schemas/price.ts';

const zero = '^0+(\\.0+)?$';

/** A tier that ends, and the last one, which does not; both with the other fields of a tier. */
const boundedTier = Type.Object(
  { ...TierSchema.properties, up_to: Type.Unsafe<string>({ ...TierSchema.properties.up_to, type: 'string', not: { pattern: zero } }) },
  { ...closed, title: 'BoundedTier' },
);
const lastTier = Type.Object(
  { ...TierSchema.properties, up_to: Type.Null() },
  { ...closed, title: 'LastTier', description: 'Without a bound; stands last.' },
);
const Tiers = Type.Array(Type.Union([boundedTier, lastTier]), {
  minItems: 1,
  maxItems: tiersMax,
  contains: { type: 'object', required: ['up_to'], properties: { up_to: { type: 'null' } } },
  minContains: 1,
  maxContains: 1,
  description: 'Bounds increase; the last tier, and only it, has none.',
});

const FlatPrice = Type.Object(FlatPriceSchema.properties, { ...closed, title: 'FlatPrice' });
const PerUnitPrice = Type.Object(PerUnitPriceSchema.properties, { ...closed, title: 'PerUnitPrice' });
const GraduatedPrice = Type.Object({ ...GraduatedPriceSchema.properties, tiers: Tiers }, { ...closed, title: 'GraduatedPrice' });
const packageSize = Type.Unsafe<string>({ ...PackagePriceSchema.properties.package_size, not: { pattern: zero } });
const PackagePrice = Type.Object({ ...PackagePriceSchema.properties, package_size: packageSize }, { ...closed, title: 'PackagePrice' });

const { code, name, meter: _meter } = ChargeSchema.properties;
const meterCode = Type.Unsafe<string>({ ...code, description: 'Code of the meter that is priced.' });
const meteredPrice = Type.Union([PerUnitPrice, GraduatedPrice, PackagePrice]);
const chargeCode = Type.Unsafe<string>({ ...NewCode, description: `Unique within the plan. It must not have ${idFormAbout}.` });
const charge = (title: string, meter: TSchema, price: TSchema) =>
  Type.Object({ code: chargeCode, name, meter, price }, { ...closed, title });
const chargeAnswer = (title: string, meter: TSchema, price: TSchema) => Type.Object({ code, name, meter, price }, { ...closed, title });

const FlatCharge = charge('FlatCharge', Type.Optional(Type.Null()), FlatPrice);
const MeteredCharge = charge('MeteredCharge', meterCode, meteredPrice);
const Charges = Type.Array(Type.Union([FlatCharge, MeteredCharge]), { minItems: 1, maxItems: chargesMax });

export const NewPlanDocument = Type.Object(
  {
    code: NewCode,
    name: PlanVersionSchema.properties.name,
    currency: CurrencyCode,
    interval: Type.Optional(Type.Literal('month')),
    charges: Charges,
    metadata: Type.Optional(Metadata),
  },
  { ...closed, title: 'NewPlan' },
);

/** Charges as answers hold them: canonical, so with every field that has a default, and `meter: null` for a flat one. */
export const ChargesAnswer = Type.Array(
  Type.Union([chargeAnswer('FlatChargeAnswer', Type.Null(), FlatPrice), chargeAnswer('MeteredChargeAnswer', meterCode, meteredPrice)]),
  { minItems: 1, maxItems: chargesMax },
);
