/** `/v1/promotion-codes`: what customers are told, by which they redeem a coupon. */
import { FailureError, type Fault } from '#schemas/failures.ts';
import {
  NewPromotionCode,
  PromotionCodeId,
  PromotionCodePatch,
  PromotionCode as PromotionCodeSchema,
} from '#schemas/http/promotion-codes.ts';
import type { CustomerStore } from '../customers/customers.postgres.ts';
import type { Db, Routes } from '../route/define-route.ts';
import { listJson, listSchema } from '../route/lists.ts';
import { created, found, readInstant, refuseFaults, updated } from '../route/resource-fields.ts';
import { promotionCodeJson, withoutCount } from './coupon-json.ts';
import type { CouponStore } from './coupons.postgres.ts';
import type { PromotionCode, PromotionCodeStore } from './promotion-codes.postgres.ts';

export type PromotionCodePorts = {
  readonly coupons: Pick<CouponStore, 'lockCoupon'>;
  readonly promotionCodes: PromotionCodeStore;
  readonly customers: Pick<CustomerStore, 'payer'>;
};

const tag = 'Promotion codes';
const url = '/v1/promotion-codes';
const read = { tag, scope: 'read:coupons' } as const;
const write = { tag, scope: 'write:coupons', rateClass: 'write' } as const;

/** Throws `VALIDATION_FAILED`. */
const instantOf = (text: string | undefined): number | null => {
  const faults: Fault[] = [];
  const instant = readInstant(text, 'redeem_by', faults) ?? null;
  refuseFaults(faults);
  return instant;
};

const readingRoutes = ({ get, list }: Routes, { promotionCodes }: PromotionCodePorts): void => {
  list(
    {
      ...read,
      url,
      operation: 'listPromotionCodes',
      summary: 'List promotion codes',
      list: promotionCodes.promotionCodeList,
      answers: { 200: listSchema(PromotionCodeSchema) },
      failures: [],
    },
    async ({ db, query }) => listJson(query, await promotionCodes.promotionCodes(db, query), promotionCodeJson),
  );
  get(
    {
      ...read,
      url: `${url}/:id`,
      operation: 'getPromotionCode',
      summary: 'Read a promotion code',
      params: PromotionCodeId,
      changesByItself: true,
      answers: { 200: PromotionCodeSchema },
      failures: ['PROMOTION_CODE_NOT_FOUND'],
    },
    async ({ db, params }) =>
      promotionCodeJson(found(await promotionCodes.promotionCode(db, params.id), 'PROMOTION_CODE_NOT_FOUND')),
  );
};

export const promotionCodeRoutes = (routes: Routes, ports: PromotionCodePorts): void => {
  const { change } = routes;
  const { coupons, promotionCodes, customers } = ports;
  const lockOpen = async (db: Db, id: string, matchVersion: (version: number) => void): Promise<PromotionCode> => {
    const code = found(await promotionCodes.lockPromotionCode(db, id), 'PROMOTION_CODE_NOT_FOUND');
    matchVersion(code.version);
    if (code.archivedAt !== null) throw new FailureError('PROMOTION_CODE_ARCHIVED');
    return code;
  };
  change(
    {
      ...write,
      method: 'POST',
      url,
      operation: 'createPromotionCode',
      summary: 'Create a promotion code of a coupon',
      body: NewPromotionCode,
      answers: { 201: PromotionCodeSchema },
      failures: ['COUPON_NOT_FOUND', 'CUSTOMER_NOT_FOUND', 'COUPON_ARCHIVED', 'PROMOTION_CODE_TAKEN'],
    },
    async ({ db, body, nowMs }) => {
      const redeemBy = instantOf(body.redeem_by);
      const customer =
        body.customer_id === undefined
          ? undefined
          : found(await customers.payer(db, body.customer_id), 'CUSTOMER_NOT_FOUND');
      const coupon = found(await coupons.lockCoupon(db, body.coupon), 'COUPON_NOT_FOUND');
      if (coupon.archivedAt !== null) throw new FailureError('COUPON_ARCHIVED');
      const code = {
        couponId: coupon.id,
        code: body.code,
        customerId: customer?.id ?? null,
        maxRedemptions: body.max_redemptions ?? null,
        redeemBy,
        metadata: body.metadata ?? {},
      };
      const added = await promotionCodes.addPromotionCode(db, code, new Date(nowMs));
      const shown = promotionCodeJson(found(added, 'PROMOTION_CODE_TAKEN'));
      return created('promotion_code', url, shown, { lasting: withoutCount });
    },
  );
  readingRoutes(routes, ports);
  change(
    {
      ...write,
      method: 'PATCH',
      url: `${url}/:id`,
      operation: 'updatePromotionCode',
      summary: 'Change the end or the metadata of a promotion code',
      params: PromotionCodeId,
      body: PromotionCodePatch,
      answers: { 200: PromotionCodeSchema },
      failures: ['PROMOTION_CODE_NOT_FOUND', 'PROMOTION_CODE_ARCHIVED'],
    },
    async ({ db, params, body, nowMs, matchVersion }) => {
      const code = await lockOpen(db, params.id, matchVersion);
      const redeemBy = body.redeem_by === undefined ? code.redeemBy : instantOf(body.redeem_by ?? undefined);
      const next = { redeemBy, archivedAt: null, metadata: body.metadata ?? code.metadata };
      const after = await promotionCodes.changePromotionCode(db, code.id, next, new Date(nowMs));
      return updated('promotion_code', promotionCodeJson(code), promotionCodeJson(after), { lasting: withoutCount });
    },
  );
  change(
    {
      ...write,
      method: 'POST',
      url: `${url}/:id/archive`,
      operation: 'archivePromotionCode',
      summary: 'Archive a promotion code: nobody redeems by it any more, and another one can be written like it',
      params: PromotionCodeId,
      answers: { 200: PromotionCodeSchema },
      failures: ['PROMOTION_CODE_NOT_FOUND', 'PROMOTION_CODE_ARCHIVED'],
    },
    async ({ db, params, nowMs, matchVersion }) => {
      const code = await lockOpen(db, params.id, matchVersion);
      const next = { ...code, archivedAt: nowMs };
      const after = await promotionCodes.changePromotionCode(db, code.id, next, new Date(nowMs));
      const [before, shown] = [promotionCodeJson(code), promotionCodeJson(after)];
      return {
        ...updated('promotion_code', before, shown, { action: 'promotion_code.archived', lasting: withoutCount }),
        location: `${url}/${code.id}`,
      };
    },
  );
};
