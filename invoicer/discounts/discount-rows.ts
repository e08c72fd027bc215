/**
 * How what discounts go by is asked for, and its rows: by the invoicer, and by the API, which imports no adapter of the
 * invoicer. Pure.
 */
import assert from 'node:assert/strict';
import type {
  ChargeKind,
  CouponDuration,
  CouponKind,
  CouponValue,
  DiscountUse,
  HeldDiscount,
} from '#schemas/coupon.ts';
import { isCurrency } from '#schemas/currency.ts';
import type { PartTiming } from '#schemas/due-parts.ts';
import { parseAmount, parseStoredAmount } from '#schemas/money.ts';
import { type ChargeJson, chargeJsonIn } from '#schemas/plan.ts';
import { type Price, type PriceJson, priceFromJson } from '#schemas/price/price.ts';
import { parseQuantity } from '#schemas/quantity.ts';
import { defaultRatingPolicy, type PolicyRounding, type RatedLine } from '#schemas/rated-line.ts';
import { parsePercentage } from '#schemas/tax-rate.ts';
import type { DiscountedPeriod, DiscountFacts } from './discount-facts.ts';

/** What of a coupon says what it takes off. */
export type ValueRow = {
  kind: CouponKind;
  percentage: string | null;
  amount: string | null;
  currency: string | null;
  free_units: string | null;
};

/** Columns of coupons `c`, for `valueFromRow`. */
export const valueColumns = `c.kind, trim_scale(c.percentage)::text AS percentage, trim_scale(c.amount)::text AS amount,
  c.currency, trim_scale(c.free_units)::text AS free_units`;

const read = <T>(value: T | undefined, what: string): T => {
  assert(value !== undefined, `a stored coupon can't be read: ${what}`);
  return value;
};

export const valueFromRow = ({ kind, percentage, amount, currency, free_units: units }: ValueRow): CouponValue => {
  if (kind === 'percentage') return { kind, percentage: read(parsePercentage(percentage ?? ''), `${percentage}`) };
  if (kind === 'free_units') return { kind, freeUnits: read(parseQuantity(units ?? ''), `${units}`) };
  assert(currency !== null && isCurrency(currency), `${currency} is not a currency`);
  return { kind, amount: read(parseAmount(amount ?? ''), `${amount}`), currency };
};

type UseJson = { subscription: string | null; start: number | null; once: boolean; amount: string };
type DiscountRow = ValueRow & {
  id: string;
  coupon_id: string;
  name: string;
  customer_id: string;
  subscription_id: string | null;
  duration: CouponDuration;
  duration_periods: number | null;
  charge_codes: string[];
  plan_ids: string[];
  charge_kinds: ChargeKind[];
  started_at: Date;
  ended_at: Date | null;
  expires_at: Date | null;
  uses: UseJson[] | null;
};
/** Of `heldStatement`. */
export type HeldRow = DiscountRow & { rounding: PolicyRounding };

// What was used is asked of those alone of which it decides what is left. Those that were ended are asked for by the
// time of what is corrected; null where nothing is.
export const heldStatement = `
SELECT o.rounding, d.id, d.coupon_id, d.customer_id, d.subscription_id, d.started_at, d.ended_at, c.name,
  ${valueColumns}, c.duration, c.duration_periods, c.charge_codes, c.plan_ids, c.charge_kinds, c.expires_at,
  CASE WHEN c.duration <> 'forever' OR c.kind = 'amount' THEN (
    SELECT json_agg(json_build_object('subscription', u.subscription_id, 'start',
      (extract(epoch FROM u.period_start) * 1000)::bigint, 'once', u.is_once, 'amount', u.amount::text))
    FROM (
      SELECT subscription_id, period_start, is_once, sum(amount) AS amount FROM discount_uses
      WHERE discount_id = d.id GROUP BY subscription_id, period_start, is_once
    ) u) END AS uses
FROM discounts d JOIN coupons c ON c.id = d.coupon_id JOIN organizations o ON o.id = d.organization_id
WHERE d.organization_id = $1 AND d.customer_id = ANY ($2) AND (d.ended_at IS NULL OR d.ended_at > $3)
ORDER BY d.started_at, d.id`;

const heldFromRow = (row: DiscountRow): HeldDiscount => ({
  id: row.id,
  couponId: row.coupon_id,
  name: row.name,
  customerId: row.customer_id,
  subscriptionId: row.subscription_id,
  value: valueFromRow(row),
  duration: row.duration,
  durationPeriods: row.duration_periods,
  appliesTo: { chargeCodes: row.charge_codes, planIds: row.plan_ids, chargeKinds: row.charge_kinds },
  startedAt: row.started_at.getTime(),
  endedAt: row.ended_at?.getTime() ?? null,
  expiresAt: row.expires_at?.getTime() ?? null,
});

const usesFromRow = ({ id: discountId, uses }: DiscountRow): DiscountUse[] =>
  (uses ?? []).map(({ subscription, start, once, amount }) => ({
    discountId,
    isOnce: once,
    period: subscription === null || start === null ? null : { subscriptionId: subscription, start },
    amount: read(parseStoredAmount(amount), amount),
  }));

/**
 * From when on a discount that was ended counts for what is corrected; null where nothing is. A day before the
 * first of it was issued: what ended it goes by another process's clock.
 */
export const endedSince = (billedBefore: DiscountFacts['billedBefore']): Date | null => {
  const issued = [...billedBefore.values()].map(({ issuedAt }) => issuedAt);
  return issued.length === 0 ? null : new Date(Math.min(...issued) - 86_400_000);
};

/** The discounts that somebody has, and what was used of them. */
export const standingFromRows = (rows: readonly HeldRow[]): Pick<DiscountFacts, 'rounding' | 'held' | 'uses'> => {
  const rounding = rows[0]?.rounding ?? defaultRatingPolicy.rounding;
  return { rounding, held: rows.map(heldFromRow), uses: rows.flatMap(usesFromRow) };
};

/** Whether nothing has discounts: nobody has one, and nothing is given back that was discounted. */
export const hasNoDiscounts = ({ held, takenBack }: Pick<DiscountFacts, 'held' | 'takenBack'>): boolean =>
  held.length === 0 && ![...takenBack.values()].some(({ lines }) => lines !== undefined && lines.size > 0);

export const periodsStatement = `SELECT id, timing, billing_start, due_at FROM billing_periods
  WHERE organization_id = $1 AND id = ANY ($2)`;
export type PeriodRow = { id: string; timing: PartTiming | 'delta'; billing_start: Date; due_at: Date };

/** The charges `$3` alone, of which units are free. */
export const versionsStatement = `SELECT v.id, v.plan_id, v.currency, (
    SELECT json_agg(c) FROM json_array_elements(v.charges) AS c WHERE c ->> 'code' = ANY ($3)) AS charges
  FROM plan_versions v WHERE v.organization_id = $1 AND v.id = ANY ($2)`;
export type VersionRow = { id: string; plan_id: string; currency: string; charges: ChargeJson[] | null };

export const overridesStatement = 'SELECT id, price FROM price_overrides WHERE organization_id = $1 AND id = ANY ($2)';
export type OverrideRow = { id: string; price: PriceJson };

/** Of which charges units are free, by code. */
export const freeCharges = (held: readonly HeldDiscount[]): readonly string[] =>
  held.flatMap(({ value, appliesTo }) => (value.kind === 'free_units' ? appliesTo.chargeCodes : []));

const priceOfJson = (json: PriceJson | undefined): Price | undefined => {
  if (json === undefined) return undefined;
  const parsed = priceFromJson(json);
  assert(parsed.ok, 'a price that is stored was read before');
  return parsed.value;
};

const pricesFromRows = (
  versions: readonly VersionRow[],
  overrides: readonly OverrideRow[],
): DiscountFacts['priceOf'] => {
  const byId = new Map(versions.map((row) => [row.id, row]));
  const overriding = new Map(overrides.map(({ id, price }) => [id, price]));
  return ({ planVersionId, chargeCode, currency }: RatedLine, overrideId) => {
    if (overrideId !== undefined) return priceOfJson(overriding.get(overrideId));
    const version = byId.get(planVersionId);
    const charge = version?.charges?.find(({ code }) => code === chargeCode);
    return charge && priceOfJson(chargeJsonIn(charge, currency, version?.currency ?? currency)?.price);
  };
};

const periodsFromRows = (rows: readonly PeriodRow[]): [string, DiscountedPeriod][] =>
  rows.map(({ id, timing, billing_start: start, due_at: dueAt }) => [
    id,
    { timing, start: start.getTime(), dueAt: dueAt.getTime() },
  ]);

/** What `heldStatement` and the statements of credits say: discounts that there are, and what is given back of some. */
export type StandingDiscounts = Pick<DiscountFacts, 'rounding' | 'held' | 'uses' | 'takenBack' | 'billedBefore'>;

/** `unwritten` are billing periods that are not in the rows. */
export const factsFromRows = (
  standing: StandingDiscounts,
  rows: {
    readonly periods: readonly PeriodRow[];
    readonly versions: readonly VersionRow[];
    readonly overrides: readonly OverrideRow[];
  },
  unwritten: ReadonlyMap<string, DiscountedPeriod> = new Map(),
): DiscountFacts => ({
  ...standing,
  periods: new Map([...unwritten, ...periodsFromRows(rows.periods)]),
  planIds: new Map(rows.versions.map(({ id, plan_id: planId }) => [id, planId])),
  priceOf: pricesFromRows(rows.versions, rows.overrides),
});
