/**
 * The exact JSON schema of a plan's charges, closed, for the documents. What comes in is judged by
 * `planVersionFromJson`, which names every fault at its place; a test holds the two together. What no JSON schema can
 * say, and only the reader refuses: bounds of tiers that do not increase, a null bound that is not the last, a code
 * that two charges of one plan have, a name with half of a surrogate pair, a cap under a minimum, a cell of a matrix
 * that names what is no dimension of it, or what another cell names.
 */
import { type TSchema, Type } from 'typebox';
import { CurrencyCode, closed, Metadata, NewCode, NullInsteadOfText } from '#schemas/http/fields.ts';
import { meterExample } from '#schemas/http/meters.ts';
import { codePattern, idFormAbout } from '#schemas/names.ts';
import { chargesMax, namePattern } from '#schemas/plan.ts';
import { flat } from '#schemas/price/flat.ts';
import { meteredPriceSchema } from '#schemas/price/price.ts';

const code = Type.String({ pattern: codePattern, description: 'Unique within the plan.' });
const name = Type.String({ pattern: namePattern, description: 'Printed on the invoice line.' });
const meterCode = Type.Unsafe<string>({ ...code, description: 'Code of the meter that is priced.' });

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
  const chargeCode = prefix === 'New' ? newCode : code;
  const FlatCharge = named(
    { code: chargeCode, name, meter: Type.Optional(NullInsteadOfText), price: flat.schema(prefix) },
    'FlatCharge',
  );
  const MeteredCharge = named(
    { code: chargeCode, name, meter: meterCode, price: meteredPriceSchema(prefix) },
    'MeteredCharge',
  );
  return Type.Array(Type.Union([FlatCharge, MeteredCharge], { title: `${prefix}Charge` }), {
    minItems: 1,
    maxItems: chargesMax,
  });
};

export const flatChargeExample = { code: 'base', name: 'Base fee', price: { model: 'flat', amount: '9.00' } };
export const meteredChargeExample = {
  code: 'tokens',
  name: 'Tokens',
  meter: meterExample.code,
  price: { model: 'per_unit', unit_amount: '0.00002', free_units: '1000' },
};
export const newPlanExample = {
  code: 'starter',
  name: 'Starter',
  currency: 'USD',
  charges: [flatChargeExample, meteredChargeExample],
};

export const NewPlanDocument = Type.Object(
  {
    code: NewCode,
    name: Type.String({ pattern: namePattern }),
    currency: CurrencyCode,
    interval: Type.Optional(Type.Literal('month')),
    charges: chargeSchemas('New'),
    metadata: Type.Optional(Metadata),
  },
  { ...closed, title: 'NewPlan', examples: [newPlanExample] },
);

/**
 * Charges as answers hold them: canonical, so with every field that has a default, and `meter: null` for a flat one.
 */
export const ChargesAnswer = chargeSchemas('');
