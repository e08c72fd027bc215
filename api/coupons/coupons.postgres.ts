/** Coupons as rows of PostgreSQL. */
import { newId } from '#platform/process/ids.ts';
import type { ChargeKind, CouponDuration, CouponTerms } from '#schemas/coupon.ts';
import { formatAmount } from '#schemas/money.ts';
import { lookUpColumn } from '#schemas/names.ts';
import type { Instant } from '#schemas/period.ts';
import { formatQuantity } from '#schemas/quantity.ts';
import { formatPercentage } from '#schemas/tax-rate.ts';
import { type ValueRow, valueColumns, valueFromRow } from '../../invoicer/discounts/discount-rows.ts';
import type { Db } from '../route/define-route.ts';
import { listRows } from '../route/list-rows.postgres.ts';
import { defineList, type ListPage } from '../route/lists.ts';
import { headFromRow, type ResourceHead, type ResourceRow } from '../route/resource-fields.ts';

/** What a coupon is, but for its code and what becomes of it. */
export type CouponContent = CouponTerms & {
  readonly name: string;
  readonly maxRedemptions: number | null;
  readonly maxRedemptionsPerCustomer: number | null;
  readonly isForFirstTime: boolean;
  readonly redeemBy: Instant | null;
  readonly expiresAt: Instant | null;
  readonly metadata: Record<string, string>;
};

export type NewCoupon = CouponContent & { readonly code: string };

export type Coupon = NewCoupon &
  ResourceHead & {
    readonly id: string;
    readonly archivedAt: Instant | null;
    readonly redemptions: number;
  };

type CouponRow = ResourceRow &
  ValueRow & {
    id: string;
    code: string;
    name: string;
    duration: CouponDuration;
    duration_periods: number | null;
    charge_codes: string[];
    plan_ids: string[];
    charge_kinds: ChargeKind[];
    max_redemptions: number | null;
    max_redemptions_per_customer: number | null;
    first_time_customers_only: boolean;
    redeem_by: Date | null;
    expires_at: Date | null;
    archived_at: Date | null;
    redemptions: number;
  };

const columns = `c.id, c.code, c.name, ${valueColumns}, c.duration, c.duration_periods, c.charge_codes, c.plan_ids,
  c.charge_kinds, c.max_redemptions, c.max_redemptions_per_customer, c.first_time_customers_only, c.redeem_by,
  c.expires_at, c.archived_at, c.redemptions, c.metadata, c.version, c.created_at, c.updated_at`;

const fromRow = (row: CouponRow): Coupon => ({
  id: row.id,
  code: row.code,
  name: row.name,
  value: valueFromRow(row),
  duration: row.duration,
  durationPeriods: row.duration_periods,
  appliesTo: { chargeCodes: row.charge_codes, planIds: row.plan_ids, chargeKinds: row.charge_kinds },
  maxRedemptions: row.max_redemptions,
  maxRedemptionsPerCustomer: row.max_redemptions_per_customer,
  isForFirstTime: row.first_time_customers_only,
  redeemBy: row.redeem_by?.getTime() ?? null,
  expiresAt: row.expires_at?.getTime() ?? null,
  archivedAt: row.archived_at?.getTime() ?? null,
  redemptions: row.redemptions,
  ...headFromRow(row),
});

const toDate = (instant: Instant | null): Date | null => (instant === null ? null : new Date(instant));

type Archived = 'exclude' | 'include' | 'only';
/** Of a list of what is archived some day: `column` says since when. */
export const archivedFilter = (column: string) => {
  const archivedIs = { exclude: `${column} IS NULL`, include: 'true', only: `${column} IS NOT NULL` } as const;
  return {
    column,
    choices: ['exclude', 'include', 'only'],
    default: 'exclude',
    description: 'Whether to list those that are archived.',
    test: (value: string, text: string) => `(${value}::text = 'include' OR ${archivedIs[text as Archived]})`,
  };
};

const couponList = defineList({
  name: 'coupons',
  columns,
  from: 'coupons c',
  id: 'c.id',
  organization: 'c.organization_id',
  sorts: { created_at: { column: 'c.created_at', type: 'timestamptz' }, code: { column: 'c.code', type: 'text' } },
  filters: { code: { column: 'c.code' }, archived: archivedFilter('c.archived_at') },
  times: { created_at: 'c.created_at' },
});

/** The order of `contentColumns`. */
const contentValues = (coupon: CouponContent): unknown[] => {
  const { value, appliesTo } = coupon;
  return [
    coupon.name,
    value.kind === 'percentage' ? formatPercentage(value.percentage) : null,
    value.kind === 'amount' ? formatAmount(value.amount) : null,
    value.kind === 'amount' ? value.currency : null,
    value.kind === 'free_units' ? formatQuantity(value.freeUnits) : null,
    coupon.duration,
    coupon.durationPeriods,
    appliesTo.chargeCodes,
    appliesTo.planIds,
    appliesTo.chargeKinds,
    coupon.maxRedemptions,
    coupon.maxRedemptionsPerCustomer,
    coupon.isForFirstTime,
    toDate(coupon.redeemBy),
    toDate(coupon.expiresAt),
    coupon.metadata,
  ];
};
const contentColumns = `name, percentage, amount, currency, free_units, duration, duration_periods, charge_codes,
  plan_ids, charge_kinds, max_redemptions, max_redemptions_per_customer, first_time_customers_only, redeem_by,
  expires_at, metadata`;
const places = (first: number): string => Array.from({ length: 16 }, (_, index) => `$${first + index}`).join(', ');

const couponBy = async (db: Db, idOrCode: string, lock = ''): Promise<Coupon | undefined> => {
  const { rows } = await db.query<CouponRow>(
    `SELECT ${columns} FROM coupons c
     WHERE c.organization_id = $1 AND c.${lookUpColumn('cpn', idOrCode, 'code')} = $2 ${lock}`,
    [db.organizationId, idOrCode],
  );
  return rows[0] && fromRow(rows[0]);
};

export const couponStore = {
  couponList,
  /** Undefined where the code is taken. */
  addCoupon: async (db: Db, coupon: NewCoupon, now: Date): Promise<Coupon | undefined> => {
    const { rows } = await db.query<CouponRow>(
      `INSERT INTO coupons AS c (id, organization_id, code, kind, version, created_at, updated_at, ${contentColumns})
       VALUES ($1, $2, $3, $4, 1, $5, $5, ${places(6)})
       ON CONFLICT (organization_id, code) DO NOTHING RETURNING ${columns}`,
      [newId('cpn'), db.organizationId, coupon.code, coupon.value.kind, now, ...contentValues(coupon)],
    );
    return rows[0] && fromRow(rows[0]);
  },
  /** By id or code. */
  coupon: (db: Db, idOrCode: string): Promise<Coupon | undefined> => couponBy(db, idOrCode),
  /** The same, which nobody redeems or changes meanwhile. */
  lockCoupon: (db: Db, idOrCode: string): Promise<Coupon | undefined> => couponBy(db, idOrCode, 'FOR NO KEY UPDATE'),
  coupons: async (db: Db, page: ListPage) => {
    const { rows, ...rest } = await listRows<CouponRow>(db, couponList, db.organizationId, page);
    return { ...rest, rows: rows.map(fromRow) };
  },
  /** The row must be locked. */
  changeCoupon: async (
    db: Db,
    id: string,
    coupon: CouponContent & Pick<Coupon, 'archivedAt'>,
    now: Date,
  ): Promise<Coupon> => {
    const { rows } = await db.query<CouponRow>(
      `UPDATE coupons c SET (${contentColumns}) = ROW (${places(5)}), archived_at = $3, version = version + 1,
         updated_at = $4
       WHERE organization_id = $1 AND id = $2 RETURNING ${columns}`,
      [db.organizationId, id, toDate(coupon.archivedAt), now, ...contentValues(coupon)],
    );
    return fromRow(rows[0] as CouponRow);
  },
  /** The row must be locked. */
  countRedemption: async (db: Db, id: string): Promise<void> => {
    await db.query('UPDATE coupons SET redemptions = redemptions + 1 WHERE organization_id = $1 AND id = $2', [
      db.organizationId,
      id,
    ]);
  },
  /** The ids of plans, by the ids or codes that they are named by. */
  planIds: async (db: Db, names: readonly string[]): Promise<ReadonlyMap<string, string>> => {
    if (names.length === 0) return new Map();
    const columnOf = (name: string) => lookUpColumn('pln', name, 'code');
    const { rows } = await db.query<{ id: string; code: string }>(
      `SELECT id, code FROM plans WHERE organization_id = $1
         AND id IN (SELECT id FROM plans WHERE organization_id = $1 AND id = ANY ($2)
           UNION ALL SELECT id FROM plans WHERE organization_id = $1 AND code = ANY ($3))`,
      [
        db.organizationId,
        names.filter((name) => columnOf(name) === 'id'),
        names.filter((name) => columnOf(name) === 'code'),
      ],
    );
    return new Map(rows.flatMap(({ id, code }) => [[id, id] as const, [code, id] as const]));
  },
};

export type CouponStore = typeof couponStore;
