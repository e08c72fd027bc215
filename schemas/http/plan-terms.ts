/** What holds of a plan version over all of its charges, in requests and answers; read by `plan-terms.ts`. */
import { type TSchema, Type } from 'typebox';
import { currencyOptionsMax } from '#schemas/currency-options.ts';
import { namePattern } from '#schemas/display-name.ts';
import { decimalPattern } from '#schemas/fault.ts';
import { AddOn, NewAddOn } from '#schemas/http/add-ons.ts';
import { Entitlements, NewEntitlements } from '#schemas/http/entitlements.ts';
import { closed, nullable } from '#schemas/http/fields.ts';
import { intervalCountMax, intervalUnits } from '#schemas/interval.ts';
import { defaultLateUsage, lateUsagePolicies } from '#schemas/late-usage.ts';
import { defaultBoundNames, defaultProration } from '#schemas/plan-terms.ts';
import { prorationPolicies } from '#schemas/proration.ts';

const amount = Type.String({
  pattern: decimalPattern,
  description: "Zero or more, with no more digits after the point than the currency's minor unit has.",
  examples: ['20.00'],
});

/** What a request may leave out is always there in an answer. */
const boundSchema = (prefix: '' | 'New', title: string, defaultName: string, description: string) => {
  const name = Type.String({
    pattern: namePattern,
    description: `Printed on the invoice line; "${defaultName}" if absent.`,
  });
  const options = Type.Record(Type.String({ pattern: '^[A-Z]{3}$' }), amount, {
    ...closed,
    maxProperties: currencyOptionsMax,
    description: 'The amount in each further currency that the charges have prices in, by ISO 4217 code.',
  });
  const unlessNew = (schema: TSchema): TSchema => (prefix === 'New' ? Type.Optional(schema) : schema);
  return Type.Object(
    { name: unlessNew(name), amount, currency_options: unlessNew(options) },
    { ...closed, title: `${prefix}${title}`, description },
  );
};

const minimumCommitment = (prefix: '' | 'New') =>
  nullable(
    boundSchema(
      prefix,
      'MinimumCommitment',
      defaultBoundNames.minimum_commitment,
      'What a billing period of a subscription costs at least, over all of its charges.',
    ),
  );
const spendCap = (prefix: '' | 'New') =>
  nullable(
    boundSchema(
      prefix,
      'SpendCap',
      defaultBoundNames.spend_cap,
      'What a billing period of a subscription costs at most, over all of its charges.',
    ),
  );

const Proration = Type.Enum([...prorationPolicies], {
  title: 'ProrationPolicy',
  description: `How flat prices, the minimum commitment and the spend cap are charged for a part of a billing period: by the time that it covers, by days of the calendar, or whole. "${defaultProration}" if absent.`,
});

export const LateUsagePolicy = Type.Enum([...lateUsagePolicies], {
  title: 'LateUsagePolicy',
  description: `What becomes of usage that comes, or is amended, after its billing period was billed: the difference is on the next invoice (bill_next); it is where it is more, and is given back by a credit note where it is less (credit_note); or it is reported and billed by nobody (report_only). "${defaultLateUsage}" if absent.`,
});

/** In a request `count` may be left out. */
export const intervalSchema = (prefix: '' | 'New') => {
  const count = Type.Integer({ minimum: 1, maximum: intervalCountMax, description: 'How many units; 1 if absent.' });
  return Type.Object(
    { unit: Type.Enum([...intervalUnits]), count: prefix === 'New' ? Type.Optional(count) : count },
    { ...closed, title: `${prefix}Interval`, description: 'So many units of the calendar.' },
  );
};

export const newGeneralTermFields = {
  minimum_term: Type.Optional(nullable(intervalSchema('New'))),
  minimum_commitment: Type.Optional(minimumCommitment('New')),
  spend_cap: Type.Optional(spendCap('New')),
  proration: Type.Optional(Proration),
  late_usage: Type.Optional(LateUsagePolicy),
  entitlements: Type.Optional(NewEntitlements),
  add_on: Type.Optional(NewAddOn),
};

export const generalTermFields = {
  minimum_term: nullable(intervalSchema('')),
  minimum_commitment: minimumCommitment(''),
  spend_cap: spendCap(''),
  proration: Proration,
  late_usage: LateUsagePolicy,
  entitlements: Entitlements,
  add_on: AddOn,
};
