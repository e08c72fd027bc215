/**
 * Credit units and what they are worth, in requests and answers. What no JSON schema can say, and is refused at its
 * place: a rate that makes a circle, or a chain that is too long, in units or in digits.
 */
import { Type } from 'typebox';
import { unitCodePattern, unitCodeRule } from '#schemas/credit-unit.ts';
import { currencies } from '#schemas/currency.ts';
import { exampleCreatedAt, exampleHead, exampleId } from '#schemas/http/example-parts.ts';
import {
  closed,
  formed,
  GivenInstant,
  Instant,
  idOf,
  idParam,
  Metadata,
  Name,
  resourceFields,
} from '#schemas/http/fields.ts';
import { idFormPattern } from '#schemas/names.ts';

const newUnitExample = { code: 'AIC', name: 'AI credits' };
const newRateExample = { effective_from: '2026-10-01T00:00:00Z', unit: 'USD', amount: '0.01' };
const unitId = exampleId('cru', 32);
const rateExample = {
  id: exampleId('crr', 33),
  credit_unit_id: unitId,
  rate_number: 1,
  unit: newRateExample.unit,
  amount: newRateExample.amount,
  effective_from: '2026-10-01T00:00:00.000Z',
  created_at: exampleCreatedAt,
};

export const CreditUnitId = idParam(newUnitExample.code);

const UnitCode = formed(unitCodePattern, unitCodeRule.about, { description: 'The code of a credit unit.' });

export const NewCreditUnit = Type.Object(
  {
    code: Type.Unsafe<string>({
      ...UnitCode,
      not: { anyOf: [{ pattern: idFormPattern }, { enum: [...currencies] }] },
      description: "The caller's own name of it, like that of a currency, and of none that there is.",
    }),
    name: Name,
    metadata: Type.Optional(Metadata),
  },
  { ...closed, title: 'NewCreditUnit', examples: [newUnitExample] },
);
/** `unitCodeFaults` says what is wrong with a code. */
export const GivenCreditUnit = Type.Object({ ...NewCreditUnit.properties, code: UnitCode }, closed);

const Unit = formed(unitCodePattern, 'an ISO 4217 code, or the code of a credit unit', {
  description: 'What one credit is worth some of: a currency, or another credit unit.',
});

/** More than zero: a credit that is worth nothing is a price of zero. */
const worth = (more: object) =>
  formed(
    '^[0-9]{1,10}(\\.[0-9]{1,6})?$',
    'a decimal such as "0.01", with at most 10 digits before and 6 after the point',
    {
      description: 'How much of the unit one credit is worth; more than zero.',
      ...more,
    },
  );

/** An amount of zero is refused by name. */
export const GivenCreditRate = Type.Object({ effective_from: GivenInstant, unit: Unit, amount: worth({}) }, closed);

export const NewCreditRate = Type.Object(
  { ...GivenCreditRate.properties, amount: worth({ not: { pattern: '^0+(\\.0+)?$' } }) },
  { ...closed, title: 'NewCreditRate', examples: [newRateExample] },
);

export const CreditRate = Type.Object(
  {
    id: idOf('crr'),
    credit_unit_id: idOf('cru'),
    rate_number: Type.Integer({ minimum: 1 }),
    unit: Unit,
    amount: worth({}),
    effective_from: Instant,
    created_at: Instant,
  },
  {
    ...closed,
    title: 'CreditRate',
    description:
      'What a credit is worth from an instant on. It never changes; a later number of the same instant counts.',
    examples: [rateExample],
  },
);

export const CreditUnit = Type.Object(
  { id: idOf('cru'), code: UnitCode, name: Name, ...resourceFields },
  { ...closed, title: 'CreditUnit', examples: [{ id: unitId, ...newUnitExample, ...exampleHead }] },
);
