/** `/v1/coupons`: what is taken off invoices. */
import type { Static } from 'typebox';
import { FailureError, type Fault } from '#schemas/failures.ts';
import { CouponId, CouponPatch, Coupon as CouponSchema, GivenCoupon, NewCoupon } from '#schemas/http/coupons.ts';
import { newNameFault } from '#schemas/names.ts';
import type { Db, Routes } from '../route/define-route.ts';
import { listJson, listSchema } from '../route/lists.ts';
import { created, found, refuseFaults, updated } from '../route/resource-fields.ts';
import { couponJson, withoutCount } from './coupon-json.ts';
import type { Coupon, CouponContent, CouponStore } from './coupons.postgres.ts';
import { readCoupon } from './read-coupon.ts';

export type CouponPorts = { readonly coupons: CouponStore };

const tag = 'Coupons';
const url = '/v1/coupons';
const read = { tag, scope: 'read:coupons' } as const;
const write = { tag, scope: 'write:coupons', rateClass: 'write' } as const;

type Given = Static<typeof GivenCoupon>;

/** Throws `VALIDATION_FAILED` with all faults; `faults` are those that are known already. */
const contentOf = async (
  { coupons }: CouponPorts,
  db: Db,
  given: Omit<Given, 'code'>,
  faults: Fault[] = [],
): Promise<CouponContent> => {
  const planIds = await coupons.planIds(db, given.applies_to?.plans ?? []);
  const content = readCoupon(given, planIds, faults);
  refuseFaults(faults);
  return content as CouponContent;
};

/** What still changes of one that was redeemed. */
const lastingFields: readonly string[] = ['name', 'redeem_by', 'expires_at', 'metadata'];

/** As if all of it had been given: what is null is left out. */
const patched = (coupon: Coupon, patch: Static<typeof CouponPatch>): Omit<Given, 'code'> => {
  const { code: _, ...shown } = couponJson(coupon);
  const whole = { ...shown, ...patch };
  const names = Object.keys(GivenCoupon.properties).filter((name) => name !== 'code');
  const given = Object.entries(whole).filter(([name, value]) => names.includes(name) && value !== null);
  return Object.fromEntries(given) as Omit<Given, 'code'>;
};

const readingRoutes = ({ get, list }: Routes, { coupons }: CouponPorts): void => {
  list(
    {
      ...read,
      url,
      operation: 'listCoupons',
      summary: 'List coupons',
      list: coupons.couponList,
      answers: { 200: listSchema(CouponSchema) },
      failures: [],
    },
    async ({ db, query }) => listJson(query, await coupons.coupons(db, query), couponJson),
  );
  get(
    {
      ...read,
      url: `${url}/:id`,
      operation: 'getCoupon',
      summary: 'Read a coupon by id or code',
      params: CouponId,
      changesByItself: true,
      answers: { 200: CouponSchema },
      failures: ['COUPON_NOT_FOUND'],
    },
    async ({ db, params }) => couponJson(found(await coupons.coupon(db, params.id), 'COUPON_NOT_FOUND')),
  );
};

export const couponRoutes = (routes: Routes, ports: CouponPorts): void => {
  const { change } = routes;
  const { coupons } = ports;
  const lockOpen = async (db: Db, id: string, matchVersion: (version: number) => void): Promise<Coupon> => {
    const coupon = found(await coupons.lockCoupon(db, id), 'COUPON_NOT_FOUND');
    matchVersion(coupon.version);
    if (coupon.archivedAt !== null) throw new FailureError('COUPON_ARCHIVED');
    return coupon;
  };
  change(
    {
      ...write,
      method: 'POST',
      url,
      operation: 'createCoupon',
      summary: 'Create a coupon',
      body: GivenCoupon,
      documentedBody: NewCoupon,
      answers: { 201: CouponSchema },
      failures: ['COUPON_ALREADY_EXISTS'],
    },
    async ({ db, body, nowMs }) => {
      const faults = [newNameFault(body.code, 'code')].filter((fault) => fault !== undefined);
      const content = await contentOf(ports, db, body, faults);
      const added = await coupons.addCoupon(db, { ...content, code: body.code }, new Date(nowMs));
      const shown = couponJson(found(added, 'COUPON_ALREADY_EXISTS'));
      return created('coupon', url, shown, { lasting: withoutCount });
    },
  );
  readingRoutes(routes, ports);
  change(
    {
      ...write,
      method: 'PATCH',
      url: `${url}/:id`,
      operation: 'updateCoupon',
      summary: 'Change a coupon: all but code and kind, until it is redeemed',
      params: CouponId,
      body: CouponPatch,
      answers: { 200: CouponSchema },
      failures: ['COUPON_NOT_FOUND', 'COUPON_ARCHIVED', 'COUPON_REDEEMED'],
    },
    async ({ db, params, body, nowMs, matchVersion }) => {
      const coupon = await lockOpen(db, params.id, matchVersion);
      const fixed = Object.keys(body).filter((name) => !lastingFields.includes(name));
      if (coupon.redemptions > 0 && fixed.length > 0)
        throw new FailureError(
          'COUPON_REDEEMED',
          `It was redeemed, and ${fixed.join(', ')} can't change any more: ${lastingFields.join(', ')} can.`,
        );
      const content = await contentOf(ports, db, patched(coupon, body));
      const after = await coupons.changeCoupon(db, coupon.id, { ...content, archivedAt: null }, new Date(nowMs));
      return updated('coupon', couponJson(coupon), couponJson(after), { lasting: withoutCount });
    },
  );
  change(
    {
      ...write,
      method: 'POST',
      url: `${url}/:id/archive`,
      operation: 'archiveCoupon',
      summary: 'Archive a coupon: nobody redeems it any more',
      params: CouponId,
      answers: { 200: CouponSchema },
      failures: ['COUPON_NOT_FOUND', 'COUPON_ARCHIVED'],
    },
    async ({ db, params, nowMs, matchVersion }) => {
      const coupon = await lockOpen(db, params.id, matchVersion);
      const after = await coupons.changeCoupon(db, coupon.id, { ...coupon, archivedAt: nowMs }, new Date(nowMs));
      const action = 'coupon.archived';
      return {
        ...updated('coupon', couponJson(coupon), couponJson(after), { action, lasting: withoutCount }),
        location: `${url}/${coupon.id}`,
      };
    },
  );
};
