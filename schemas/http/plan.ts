/**
 * The exact JSON schema of a plan's charges and prices, closed, for the documents. What comes in is judged by
 * `planVersionFromJson`, which names every fault at its place; a test holds the two together. What no JSON schema can
 * say, and only the reader refuses: bounds of tiers that do not increase, a null bound that is not the last, a code
 * that two charges of one plan have, a name with half of a surrogate pair, currencies that some charges have and others
 * have not, or the plan's own among its further ones, and a further price of another model.
 */
import { type TSchema, Type } from 'typebox';
import { currencyOptionsMax } from '#schemas/currency-options.ts';
import { CurrencyCode, closed, Metadata, NewCode, NullInsteadOfText } from '#schemas/http/fields.ts';
import { idFormAbout } from '#schemas/names.ts';
import { type ChargeJson, ChargeSchema, chargesMax, PlanVersionSchema } from '#schemas/plan.ts';
import {
  FlatPriceSchema,
  GraduatedPriceSchema,
  PackagePriceSchema,
  PerUnitPriceSchema,
  TierSchema,
  tiersMax,
} from '#schemas/price.ts';

const zero = '^0+(\\.0+)?$';

const aboveZero = { not: { type: 'string', pattern: zero } } as const;
const ends = { type: 'object', required: ['up_to'], properties: { up_to: { type: 'null' } } } as const;
const upTo = Type.Unsafe<string | null>({ ...TierSchema.properties.up_to, ...aboveZero });
const packageSize = Type.Unsafe<string>({ ...PackagePriceSchema.properties.package_size, ...aboveZero });
const { code, name, meter: _meter } = ChargeSchema.properties;
const meterCode = Type.Unsafe<string>({ ...code, description: 'Code of the meter that is priced.' });

const FlatPrice = Type.Object(FlatPriceSchema.properties, { ...closed, title: 'FlatPrice' });

const newCode = Type.Unsafe<string>({
  ...NewCode,
  description: `Unique within the plan. It must not have ${idFormAbout}.`,
});

/** What a request may leave out is always there in an answer, so each of the two has its own names. */
const chargeSchemas = (prefix: '' | 'New') => {
  const named = (fields: Record<string, TSchema>, title: string) => {
    const { properties } = prefix === 'New' ? Type.Object(fields) : Type.Required(Type.Object(fields));
    return Type.Object(properties, { ...closed, title: `${prefix}${title}` });
  };
  const Tier = named({ ...TierSchema.properties, up_to: upTo }, 'Tier');
  const tiers = Type.Array(Tier, {
    minItems: 1,
    maxItems: tiersMax,
    contains: ends,
    minContains: 1,
    maxContains: 1,
    description: 'Bounds increase; the last tier, and only it, has none.',
  });
  const PerUnitPrice = named(PerUnitPriceSchema.properties, 'PerUnitPrice');
  const GraduatedPrice = named({ ...GraduatedPriceSchema.properties, tiers }, 'GraduatedPrice');
  const PackagePrice = named({ ...PackagePriceSchema.properties, package_size: packageSize }, 'PackagePrice');
  const MeteredPrice = Type.Union([PerUnitPrice, GraduatedPrice, PackagePrice], {
    title: `${prefix}MeteredPrice`,
    discriminator: { propertyName: 'model' },
  });
  const options = (price: TSchema) => {
    const record = Type.Record(Type.String({ pattern: '^[A-Z]{3}$' }), price, {
      ...closed,
      maxProperties: currencyOptionsMax,
      description:
        "Prices in further currencies, by ISO 4217 code, of the same model as `price`. All charges of a plan have the same currencies; none has the plan's own.",
    });
    return prefix === 'New' ? Type.Optional(record) : record;
  };
  const chargeCode = prefix === 'New' ? newCode : code;
  const FlatCharge = named(
    {
      code: chargeCode,
      name,
      meter: Type.Optional(NullInsteadOfText),
      price: FlatPrice,
      currency_options: options(FlatPrice),
    },
    'FlatCharge',
  );
  const MeteredCharge = named(
    { code: chargeCode, name, meter: meterCode, price: MeteredPrice, currency_options: options(MeteredPrice) },
    'MeteredCharge',
  );
  return Type.Array(Type.Union([FlatCharge, MeteredCharge], { title: `${prefix}Charge` }), {
    minItems: 1,
    maxItems: chargesMax,
  });
};

const newCharges = chargeSchemas('New');

export const NewPlanDocument = Type.Object(
  {
    code: NewCode,
    name: PlanVersionSchema.properties.name,
    currency: CurrencyCode,
    interval: Type.Optional(Type.Literal('month')),
    charges: newCharges,
    metadata: Type.Optional(Metadata),
    draft: Type.Optional(
      Type.Boolean({ default: false, description: 'Its first version is a draft, and not active at once.' }),
    ),
  },
  { ...closed, title: 'NewPlan' },
);

const newTerms = { currency: Type.Optional(CurrencyCode), charges: Type.Optional(newCharges) };

export const PlanPatchDocument = Type.Object(
  { name: Type.Optional(PlanVersionSchema.properties.name), metadata: Type.Optional(Metadata), ...newTerms },
  {
    ...closed,
    title: 'PlanPatch',
    minProperties: 1,
    description:
      'A field that is left out stays. Another currency or other charges make a new active version; subscriptions keep the one that they have.',
  },
);

export const NewPlanVersionDocument = Type.Object(newTerms, {
  ...closed,
  title: 'NewPlanVersion',
  description: 'What is left out is as in the active version; where none is active, as in the newest.',
});

export const PlanVersionPatchDocument = Type.Object(newTerms, {
  ...closed,
  title: 'PlanVersionPatch',
  minProperties: 1,
  description: 'A field that is left out stays.',
});

/**
 * Charges as answers hold them: canonical, so with every field that has a default, and `meter: null` for a flat one.
 */
export const ChargesAnswer = chargeSchemas('');

/** Stored charges as answers hold them. */
export const chargesToAnswer = (charges: readonly ChargeJson[]) =>
  charges.map((charge) => ({ ...charge, currency_options: charge.currency_options ?? {} }));
