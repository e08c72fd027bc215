/**
 * Coupons in requests and answers. What no JSON schema can say, and `readCoupon` refuses: the value of another kind, an
 * amount with more digits than its currency has, free units of several charges, and a plan that is not there.
 */
import { Type } from 'typebox';
import {
  appliesToMax,
  chargeKinds,
  couponDurations,
  couponKinds,
  durationPeriodsMax,
  redemptionsMax,
} from '#schemas/coupon.ts';
import { decimalPattern } from '#schemas/fault.ts';
import { exampleHead, exampleId } from '#schemas/http/example-parts.ts';
import {
  Code,
  CurrencyCode,
  closed,
  formed,
  GivenInstant,
  Instant,
  idOf,
  idParam,
  Metadata,
  Name,
  NewCode,
  nullable,
  resourceFields,
} from '#schemas/http/fields.ts';
import { Percentage } from '#schemas/http/tax-rates.ts';

const newCouponExample = {
  code: 'launch-20',
  name: 'Launch offer, 20 % off',
  kind: 'percentage',
  percentage: '20',
  duration: 'repeating',
  duration_periods: 3,
};
export const couponExample = {
  id: exampleId('cpn', 70),
  ...newCouponExample,
  amount: null,
  currency: null,
  free_units: null,
  applies_to: { charges: [], plans: [], kinds: [] },
  max_redemptions: null,
  max_redemptions_per_customer: null,
  first_time_customers_only: false,
  redeem_by: null,
  expires_at: null,
  archived_at: null,
  redemptions: 0,
  ...exampleHead,
};

export const CouponId = idParam(newCouponExample.code);

const CouponKind = Type.Enum([...couponKinds], { title: 'CouponKind' });
const Duration = Type.Enum([...couponDurations], {
  title: 'CouponDuration',
  description: 'On one invoice, in `duration_periods` billing periods of a subscription, or in all.',
});
const DurationPeriods = Type.Integer({ minimum: 1, maximum: durationPeriodsMax });
const Off = Type.Unsafe<string>({
  ...Percentage,
  description: 'Of what `applies_to` says: more than 0, up to 100, with at most six decimals.',
});
const Amount = formed(decimalPattern, 'a decimal that is more than zero, such as "25.00"', {
  description: 'More than zero, with at most the digits of the minor unit of `currency`, and 13 before the point.',
});
const FreeUnits = formed(decimalPattern, 'a decimal that is more than zero, such as "1000"', {
  description: 'Of the one charge that `applies_to` names: what its first units cost by its own price.',
});
const Redemptions = Type.Integer({ minimum: 1, maximum: redemptionsMax });

const listOf = (item: ReturnType<typeof formed>, description: string) =>
  Type.Array(item, { maxItems: appliesToMax, uniqueItems: true, description });
const Kinds = Type.Array(Type.Enum([...chargeKinds], { title: 'ChargeKind' }), {
  maxItems: chargeKinds.length,
  uniqueItems: true,
  description: '`usage` of what is metered, `recurring` of what comes with a billing period, `one_time` of all else.',
});
const GivenAppliesTo = Type.Object(
  {
    charges: Type.Optional(listOf(Code, 'Codes of charges.')),
    plans: Type.Optional(
      listOf(
        formed('^[^\\u0000-\\u001f\\u007f]{1,255}$', '1 to 255 characters, none of them a control character'),
        'Ids or codes of plans and add-ons.',
      ),
    ),
    kinds: Type.Optional(Kinds),
  },
  {
    ...closed,
    title: 'GivenCouponScope',
    description: 'Lines that fit one entry of each list; a list that is empty or left out fits all.',
  },
);
const AppliesTo = Type.Object(
  { charges: Type.Array(Code), plans: Type.Array(idOf('pln')), kinds: Kinds },
  { ...closed, title: 'CouponScope' },
);

const terms = {
  percentage: Type.Optional(Off),
  amount: Type.Optional(Amount),
  currency: Type.Optional(CurrencyCode),
  free_units: Type.Optional(FreeUnits),
  duration: Duration,
  duration_periods: Type.Optional(DurationPeriods),
  applies_to: Type.Optional(GivenAppliesTo),
  max_redemptions: Type.Optional(Redemptions),
  max_redemptions_per_customer: Type.Optional(Redemptions),
  first_time_customers_only: Type.Optional(Type.Boolean()),
  redeem_by: Type.Optional(GivenInstant),
  expires_at: Type.Optional(GivenInstant),
  metadata: Type.Optional(Metadata),
};

export const GivenCoupon = Type.Object(
  {
    code: Code,
    name: Type.Unsafe<string>({ ...Name, description: 'As invoices print it.' }),
    kind: CouponKind,
    ...terms,
  },
  closed,
);

export const NewCoupon = Type.Object(
  { ...GivenCoupon.properties, code: NewCode },
  {
    ...closed,
    title: 'NewCoupon',
    description:
      'With the value of its `kind`: `percentage`, `amount` with `currency`, or `free_units`; and with `duration_periods` where it is `repeating`.',
    examples: [newCouponExample],
  },
);

export const CouponPatch = Type.Object(
  {
    name: Type.Optional(Name),
    percentage: Type.Optional(Off),
    amount: Type.Optional(Amount),
    currency: Type.Optional(CurrencyCode),
    free_units: Type.Optional(FreeUnits),
    duration: Type.Optional(Duration),
    duration_periods: Type.Optional(nullable(DurationPeriods)),
    applies_to: Type.Optional(GivenAppliesTo),
    max_redemptions: Type.Optional(nullable(Redemptions)),
    max_redemptions_per_customer: Type.Optional(nullable(Redemptions)),
    first_time_customers_only: Type.Optional(Type.Boolean()),
    redeem_by: Type.Optional(nullable(GivenInstant)),
    expires_at: Type.Optional(nullable(GivenInstant)),
    metadata: Type.Optional(Metadata),
  },
  {
    ...closed,
    minProperties: 1,
    title: 'CouponPatch',
    description:
      'A field that is left out stays, and null clears it. Of one that was redeemed `name`, `redeem_by`, `expires_at` and `metadata` alone.',
    examples: [{ expires_at: '2027-07-01T00:00:00Z' }],
  },
);

export const Coupon = Type.Object(
  {
    id: idOf('cpn'),
    code: Code,
    name: Name,
    kind: CouponKind,
    percentage: nullable(Off),
    amount: nullable(Amount),
    currency: nullable(CurrencyCode),
    free_units: nullable(FreeUnits),
    duration: Duration,
    duration_periods: nullable(DurationPeriods),
    applies_to: AppliesTo,
    max_redemptions: nullable(Redemptions),
    max_redemptions_per_customer: nullable(Redemptions),
    first_time_customers_only: Type.Boolean(),
    redeem_by: nullable(Instant),
    expires_at: nullable(Instant),
    archived_at: nullable(Instant),
    redemptions: Type.Integer({ minimum: 0, description: 'How often it was redeemed, whatever became of that.' }),
    ...resourceFields,
  },
  { ...closed, title: 'Coupon', examples: [couponExample] },
);
