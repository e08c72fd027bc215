/**
 * The coupon that a quote offers: its subscription has the discount from its begin on. It is judged as if it were
 * redeemed when the quote is written and when it is sent, and redeemed when the quote is accepted: nobody holds a place
 * for it until then.
 */
import { isDeepStrictEqual } from 'node:util';
import type { HeldDiscount } from '#schemas/coupon.ts';
import { FailureError, type Fault } from '#schemas/failures.ts';
import type { Instant } from '#schemas/period.ts';
import type { CouponOffer, QuotedCoupon } from '#schemas/quote.ts';
import { couponJson } from '../coupons/coupon-json.ts';
import type { Coupon, CouponStore } from '../coupons/coupons.postgres.ts';
import type { Discount, DiscountStore } from '../coupons/discounts.postgres.ts';
import type { PromotionCode, PromotionCodeStore } from '../coupons/promotion-codes.postgres.ts';
import { type RedeemPorts, redeemCoupon, redemptionFaults } from '../coupons/redeem-coupon.ts';
import type { Db } from '../route/define-route.ts';
import { found } from '../route/resource-fields.ts';
import type { Subscription } from '../subscriptions/subscriptions.postgres.ts';

export type CouponPorts = {
  readonly coupons: Pick<CouponStore, 'coupon'>;
  readonly promotionCodes: Pick<PromotionCodeStore, 'activePromotionCode' | 'promotionCode'>;
  readonly discounts: Pick<DiscountStore, 'redemptionFacts'>;
};

const unmadeDiscountId = 'dsc_00000000000000000000000000000000';

/** What is asked: null clears it, and undefined leaves it as it is. */
type Asked = { readonly coupon?: string | null; readonly promotion_code?: string | null };

type Found = { readonly coupon: Coupon; readonly code: PromotionCode | undefined };

/** What of a coupon makes the amounts: that is held when the quote is sent. */
const offerOf = (coupon: Coupon): CouponOffer => {
  const { kind, percentage, amount, currency, free_units, duration, duration_periods, applies_to, expires_at } =
    couponJson(coupon);
  return { kind, percentage, amount, currency, free_units, duration, duration_periods, applies_to, expires_at };
};

const quotedOf = ({ coupon, code }: Found): QuotedCoupon => ({
  coupon_id: coupon.id,
  coupon_code: coupon.code,
  promotion_code_id: code?.id ?? null,
  offer: null,
});

/** As it is in the catalog now. */
export const quotedCoupon = async (
  { coupons, promotionCodes }: Pick<CouponPorts, 'coupons' | 'promotionCodes'>,
  db: Db,
  { coupon_id: couponId, promotion_code_id: codeId }: QuotedCoupon,
): Promise<Found> => ({
  coupon: found(await coupons.coupon(db, couponId), 'COUPON_NOT_FOUND'),
  code: codeId === null ? undefined : found(await promotionCodes.promotionCode(db, codeId), 'PROMOTION_CODE_NOT_FOUND'),
});

const findAsked = async (
  { coupons, promotionCodes }: CouponPorts,
  db: Db,
  { coupon: name, promotion_code: text }: Asked,
  faults: Fault[],
): Promise<QuotedCoupon | undefined> => {
  if (name && text) {
    faults.push({ field: 'coupon', code: 'not_allowed', message: 'must not be there beside promotion_code' });
    return undefined;
  }
  const code = text ? await promotionCodes.activePromotionCode(db, text) : undefined;
  const asked = text ? code?.couponId : name;
  const coupon = asked ? await coupons.coupon(db, asked) : undefined;
  if (coupon) return quotedOf({ coupon, code });
  if (text) faults.push({ field: 'promotion_code', code: 'not_found', message: 'must be an active promotion code' });
  else if (name) faults.push({ field: 'coupon', code: 'not_found', message: 'must be the id or the code of a coupon' });
  return undefined;
};

/** What the quote has from now on. */
export const readCoupon = async (
  ports: CouponPorts,
  db: Db,
  asked: Asked,
  before: QuotedCoupon | undefined,
  faults: Fault[],
): Promise<QuotedCoupon | undefined> =>
  asked.coupon === undefined && asked.promotion_code === undefined ? before : findAsked(ports, db, asked, faults);

/** Whose subscription would have it, which is not there yet. */
type Buyer = { readonly customerId: string; readonly currency: string | null };

/** What stands in the way of redeeming it now. */
export const couponFaults = async (
  ports: CouponPorts,
  db: Db,
  quoted: QuotedCoupon,
  buyer: Buyer,
  hour: Instant,
): Promise<readonly Fault[]> => {
  const { coupon, code } = await quotedCoupon(ports, db, quoted);
  const redeemer = { ...buyer, subscriptionId: '' };
  const facts = await ports.discounts.redemptionFacts(db, coupon.id, redeemer);
  const field = code ? 'promotion_code' : 'coupon';
  return redemptionFaults(coupon, code, facts, redeemer, hour).map((fault) => ({
    field,
    code: 'not_redeemable',
    message: `can't be redeemed: ${fault}`,
  }));
};

/** From when it is sent. */
export const pinCoupon = async (ports: CouponPorts, db: Db, quoted: QuotedCoupon): Promise<QuotedCoupon> => ({
  ...quoted,
  offer: offerOf((await quotedCoupon(ports, db, quoted)).coupon),
});

const requireOffered = ({ offer, coupon_code: code }: QuotedCoupon, coupon: Coupon): void => {
  if (offer === null || isDeepStrictEqual(offer, offerOf(coupon))) return;
  throw new FailureError('QUOTE_NOT_ACCEPTABLE', `The coupon ${code} is not what it was when the quote was sent.`);
};

/** What of a quote that was sent is shown beside its words; `offer` is there since then. */
export const offeredCoupon = async (ports: CouponPorts, db: Db, quoted: QuotedCoupon) => {
  const { coupon } = await quotedCoupon(ports, db, quoted);
  const { applies_to: _which, ...offer } = quoted.offer ?? offerOf(coupon);
  return { name: coupon.name, ...offer };
};

/** As if it was redeemed. */
export const supposedDiscount = async (
  ports: CouponPorts,
  db: Db,
  quoted: QuotedCoupon,
  { customerId, subscriptionId }: { readonly customerId: string; readonly subscriptionId: string },
  startedAt: Instant,
): Promise<HeldDiscount> => {
  const { coupon } = await quotedCoupon(ports, db, quoted);
  const { id: couponId, name, value, duration, durationPeriods, appliesTo, expiresAt } = coupon;
  const holder = { id: unmadeDiscountId, couponId, name, customerId, subscriptionId, startedAt };
  return { ...holder, value, duration, durationPeriods, appliesTo, expiresAt, endedAt: null };
};

/** Throws where it can't be redeemed as it was offered. */
export const requireRedeemable = async (
  ports: CouponPorts,
  db: Db,
  quoted: QuotedCoupon,
  buyer: Buyer,
  hour: Instant,
): Promise<void> => {
  requireOffered(quoted, (await quotedCoupon(ports, db, quoted)).coupon);
  const faults = await couponFaults(ports, db, quoted, buyer, hour);
  if (faults.length > 0) throw new FailureError('VALIDATION_FAILED', undefined, [...faults]);
};

/** In the transaction that accepts the quote, for the subscription that came of it. */
export const redeemQuoted = async (
  ports: CouponPorts & RedeemPorts,
  db: Db,
  quoted: QuotedCoupon,
  { id, customerId, currency }: Subscription,
  times: { readonly hour: Instant; readonly now: Date },
): Promise<Discount> => {
  const { coupon_id: coupon, promotion_code_id: codeId } = quoted;
  const locked = found(await ports.coupons.lockCoupon(db, coupon), 'COUPON_NOT_FOUND');
  requireOffered(quoted, locked);
  const asked = codeId === null ? { coupon } : { promotionCodeId: codeId };
  return redeemCoupon(ports, db, asked, { customerId, subscriptionId: id, currency }, {}, times);
};
