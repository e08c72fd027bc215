/**
 * The exact JSON schema of a plan's charges, closed, for the documents. What comes in is judged by
 * `planVersionFromJson`, which names every fault at its place; a test holds the two together. What no JSON schema can
 * say, and only the reader refuses: bounds of tiers that do not increase, a null bound that is not the last, a code
 * that two charges of one plan have, a name with half of a surrogate pair, a cap under a minimum, a cell of a matrix
 * that names what is no dimension of it, or what another cell names, currencies that some charges have and others have
 * not, or the plan's own among its further ones, a further price of another model, bounds of a period that have other
 * currencies than the charges, more digits than is printed, or a cap under the minimum, a price in credits of a model
 * that has none, what is no cost book or credit unit, or does not fit the currency or the dimensions, two entitlements
 * of one feature, an interval of what is charged once, and what only an add-on has, or only another plan.
 */
import { type TSchema, Type } from 'typebox';
import { type ChargeTiming, chargeTimings, defaultTimes } from '#schemas/charge-times.ts';
import { unitCodePattern, unitCodeRule } from '#schemas/credit-unit.ts';
import { currencyOptionsMax } from '#schemas/currency-options.ts';
import { namePattern } from '#schemas/display-name.ts';
import { PlanKindName } from '#schemas/http/add-ons.ts';
import { CurrencyCode, closed, formed, Metadata, NewCode, NullInsteadOfText } from '#schemas/http/fields.ts';
import { meterExample } from '#schemas/http/meters.ts';
import { generalTermFields, intervalSchema, newGeneralTermFields } from '#schemas/http/plan-terms.ts';
import { TaxCategory } from '#schemas/http/tax-rates.ts';
import { codePattern, idFormAbout } from '#schemas/names.ts';
import { type ChargeJson, chargesMax, type PlanTermsJson } from '#schemas/plan.ts';
import { flat } from '#schemas/price/flat.ts';
import { meteredPriceSchema, seatModels, seatPriceSchema } from '#schemas/price/price.ts';

const code = Type.String({ pattern: codePattern, description: 'Unique within the plan.' });
const name = Type.String({ pattern: namePattern, description: 'Printed on the invoice line.' });
const meterCode = Type.Unsafe<string>({ ...code, description: 'Code of the meter that is priced.' });

const newCode = Type.Unsafe<string>({
  ...NewCode,
  description: `Unique within the plan. It must not have ${idFormAbout}.`,
});

const creditUnit = Type.Unsafe<string>({
  ...formed(unitCodePattern, unitCodeRule.about),
  description:
    'Code of the credit unit that the amounts of the prices are in; absent where they are money. Not for shares of a value, `dynamic` and `cost_book`.',
});

const optionsOf = (price: TSchema) =>
  Type.Record(Type.String({ pattern: '^[A-Z]{3}$' }), price, {
    ...closed,
    maxProperties: currencyOptionsMax,
    description:
      "Prices in further currencies, by ISO 4217 code, of the same model as `price`. All charges of a plan have the same currencies; none has the plan's own. Always there in a plan, and absent in what a line was rated by.",
  });

const ofSeats = Type.Literal(true, {
  description: `The seats of a subscription are priced, or how many times an add-on is taken; by ${seatModels.join(', ')}.`,
});

const timingAbout =
  'Whether it is charged after its interval or before, or `once`, without one; what a meter measures only after. Always there in a plan, as `billing_interval` is of what has one, and absent in what a line was rated by.';

/** What a request may leave out is always there in an answer, so each of the two has its own names. */
const chargeSchemas = (prefix: '' | 'New') => {
  const billingInterval = Type.Optional(intervalSchema(prefix));
  const named = (fields: Record<string, TSchema>, timings: readonly ChargeTiming[], price: TSchema, title: string) => {
    const { properties } = prefix === 'New' ? Type.Object(fields) : Type.Required(Type.Object(fields));
    const timing = Type.Enum([...timings], { description: timingAbout });
    // Of a line that was rated there is the one price that it was rated by.
    const rest = {
      credit_unit: Type.Optional(creditUnit),
      tax_category: Type.Optional(TaxCategory),
      price,
      currency_options: Type.Optional(optionsOf(price)),
      timing: Type.Optional(timing),
      billing_interval: billingInterval,
    };
    return Type.Object({ ...properties, ...rest }, { ...closed, title: `${prefix}${title}` });
  };
  const chargeCode = prefix === 'New' ? newCode : code;
  const FlatCharge = named(
    { code: chargeCode, name, meter: Type.Optional(NullInsteadOfText) },
    chargeTimings,
    flat.schema(prefix),
    'FlatCharge',
  );
  const MeteredCharge = named(
    { code: chargeCode, name, meter: meterCode },
    [defaultTimes.timing],
    meteredPriceSchema(prefix),
    'MeteredCharge',
  );
  const SeatCharge = named(
    { code: chargeCode, name, meter: Type.Optional(NullInsteadOfText), seats: ofSeats },
    chargeTimings,
    seatPriceSchema(prefix),
    'SeatCharge',
  );
  return Type.Array(Type.Union([FlatCharge, MeteredCharge, SeatCharge], { title: `${prefix}Charge` }), {
    minItems: 1,
    maxItems: chargesMax,
  });
};

export const flatChargeExample = {
  code: 'base',
  name: 'Base fee',
  price: { model: 'flat', amount: '9.00' },
  currency_options: {},
  ...defaultTimes,
};
export const meteredChargeExample = {
  code: 'tokens',
  name: 'Tokens',
  meter: meterExample.code,
  price: { model: 'per_unit', unit_amount: '0.00002', free_units: '1000' },
  currency_options: {},
  ...defaultTimes,
};
export const newPlanExample = {
  code: 'starter',
  name: 'Starter',
  currency: 'USD',
  charges: [flatChargeExample, meteredChargeExample],
};

const dearerChargeExample = { ...flatChargeExample, price: { model: 'flat', amount: '12.00' } };
export const dearerTermsExample = { charges: [dearerChargeExample] };

/** As requests write them. */
export const NewChargesDocument = chargeSchemas('New');

export const NewPlanDocument = Type.Object(
  {
    code: NewCode,
    name: Type.String({ pattern: namePattern }),
    kind: Type.Optional(PlanKindName),
    currency: CurrencyCode,
    interval: Type.Optional(
      Type.Literal('month', { deprecated: true, description: 'Says nothing: charges have a `billing_interval`.' }),
    ),
    charges: NewChargesDocument,
    ...newGeneralTermFields,
    metadata: Type.Optional(Metadata),
    draft: Type.Optional(
      Type.Boolean({ description: 'Whether its first version is a draft, and not active at once; false if absent.' }),
    ),
  },
  { ...closed, title: 'NewPlan', examples: [newPlanExample] },
);

const newTerms = {
  currency: Type.Optional(CurrencyCode),
  charges: Type.Optional(NewChargesDocument),
  ...newGeneralTermFields,
};

export const PlanPatchDocument = Type.Object(
  { name: Type.Optional(Type.String({ pattern: namePattern })), metadata: Type.Optional(Metadata), ...newTerms },
  {
    ...closed,
    title: 'PlanPatch',
    examples: [{ name: 'Starter 2026' }],
    minProperties: 1,
    description:
      'A field that is left out stays. Another currency, other charges or terms make a new active version; subscriptions keep the one that they have.',
  },
);

export const NewPlanVersionDocument = Type.Object(newTerms, {
  ...closed,
  title: 'NewPlanVersion',
  examples: [dearerTermsExample],
  description: 'What is left out is as in the active version; where none is active, as in the newest.',
});

export const PlanVersionPatchDocument = Type.Object(newTerms, {
  ...closed,
  title: 'PlanVersionPatch',
  examples: [dearerTermsExample],
  minProperties: 1,
  description: 'A field that is left out stays.',
});

/**
 * Charges as answers hold them: canonical, so with every field that has a default, and `meter: null` for a flat one.
 */
const ChargesAnswer = chargeSchemas('');

/** Stored charges as answers hold them. */
const chargesToAnswer = (charges: readonly ChargeJson[]) =>
  charges.map((charge) => ({
    ...(charge.timing === 'once' ? {} : defaultTimes),
    ...charge,
    currency_options: charge.currency_options ?? {},
  }));

/** What a version charges, as answers hold it. */
export const termFields = { currency: CurrencyCode, charges: ChargesAnswer, ...generalTermFields };

export const termsToAnswer = ({ charges, ...terms }: PlanTermsJson) => ({
  ...terms,
  charges: chargesToAnswer(charges),
});
