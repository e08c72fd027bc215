/** Discounts of customers and subscriptions as rows of PostgreSQL. What was used of them the invoicer writes. */
import { newId } from '#platform/process/ids.ts';
import type { Instant } from '#schemas/period.ts';
import type { Db } from '../route/define-route.ts';
import { listRows } from '../route/list-rows.postgres.ts';
import { defineList, type ListPage } from '../route/lists.ts';
import { headFromRow, type ResourceHead, type ResourceRow } from '../route/resource-fields.ts';

export type Discount = ResourceHead & {
  readonly id: string;
  readonly couponId: string;
  readonly couponCode: string;
  readonly promotionCodeId: string | null;
  readonly customerId: string;
  /** Null where it is of the customer. */
  readonly subscriptionId: string | null;
  readonly startedAt: Instant;
  readonly endedAt: Instant | null;
  /** Of its coupon. */
  readonly expiresAt: Instant | null;
  readonly isUsedUp: boolean;
  readonly invoicesUsed: number;
  readonly periodsUsed: number;
  /** Of its customer's test clock. */
  readonly clockNow: Instant | null;
};

/** Whose discounts they are. */
export type Holder = { readonly customerId: string; readonly subscriptionId: string | null };

type DiscountRow = ResourceRow & {
  id: string;
  coupon_id: string;
  coupon_code: string;
  promotion_code_id: string | null;
  customer_id: string;
  subscription_id: string | null;
  started_at: Date;
  ended_at: Date | null;
  expires_at: Date | null;
  is_used_up: boolean;
  invoices_used: number;
  periods_used: number;
  clock_now: Date | null;
};

const columns = `d.id, d.coupon_id, c.code AS coupon_code, d.promotion_code_id, d.customer_id, d.subscription_id,
  d.started_at, d.ended_at, c.expires_at, u.is_used_up, u.invoices_used, u.periods_used, k.now_at AS clock_now,
  d.metadata, d.version, d.created_at, d.updated_at`;
// An invoice on which nothing was taken off has counted a period, and has no discount.
const from = `discounts d JOIN coupons c ON c.id = d.coupon_id JOIN customers h ON h.id = d.customer_id
  LEFT JOIN test_clocks k ON k.id = h.test_clock_id
  CROSS JOIN LATERAL (
    SELECT coalesce(bool_or(is_once), false) AS is_used_up,
      (count(DISTINCT invoice_id) FILTER (WHERE amount <> 0))::integer AS invoices_used,
      (count(DISTINCT (subscription_id, period_start)) FILTER (WHERE subscription_id IS NOT NULL))::integer
        AS periods_used
    FROM discount_uses WHERE discount_id = d.id
  ) u`;

const fromRow = (row: DiscountRow): Discount => ({
  id: row.id,
  couponId: row.coupon_id,
  couponCode: row.coupon_code,
  promotionCodeId: row.promotion_code_id,
  customerId: row.customer_id,
  subscriptionId: row.subscription_id,
  startedAt: row.started_at.getTime(),
  endedAt: row.ended_at?.getTime() ?? null,
  expiresAt: row.expires_at?.getTime() ?? null,
  isUsedUp: row.is_used_up,
  invoicesUsed: row.invoices_used,
  periodsUsed: row.periods_used,
  clockNow: row.clock_now?.getTime() ?? null,
  ...headFromRow(row),
});

const endedIs = { exclude: 'd.ended_at IS NULL', include: 'true', only: 'd.ended_at IS NOT NULL' } as const;

const discountList = defineList({
  name: 'discounts',
  columns,
  from,
  countFrom: 'discounts d',
  id: 'd.id',
  organization: 'd.organization_id',
  sorts: { created_at: { column: 'd.created_at', type: 'timestamptz' } },
  filters: {
    coupon_id: { column: 'd.coupon_id' },
    ended: {
      column: 'd.ended_at',
      choices: ['exclude', 'include', 'only'],
      default: 'include',
      description: 'Whether to list those that were ended.',
      test: (value, text) => `(${value}::text = 'include' OR ${endedIs[text as keyof typeof endedIs]})`,
    },
  },
  times: { created_at: 'd.created_at' },
});

const isOf = ({ subscriptionId }: Holder): string =>
  subscriptionId === null ? 'd.customer_id = $2' : 'd.subscription_id = $2';

/** By how many discounts a customer has had a coupon, and what else decides whether it can have another one. */
export type RedemptionFacts = {
  readonly ofCustomer: number;
  readonly isHeld: boolean;
  readonly hasInvoices: boolean;
};

const redemptionStatement = `
SELECT (SELECT count(*)::integer FROM discounts WHERE coupon_id = $2 AND customer_id = $3) AS of_customer,
  EXISTS (SELECT 1 FROM discounts d WHERE d.coupon_id = $2 AND d.customer_id = $3 AND d.ended_at IS NULL
    AND d.subscription_id IS NOT DISTINCT FROM $4
    AND NOT EXISTS (SELECT 1 FROM discount_uses u WHERE u.discount_id = d.id AND u.is_once)) AS is_held,
  EXISTS (SELECT 1 FROM invoices i WHERE i.organization_id = $1 AND i.customer_id = $3) AS has_invoices`;

const discountOf = async (db: Db, holder: Holder, id: string): Promise<Discount | undefined> => {
  const { rows } = await db.query<DiscountRow>(
    `SELECT ${columns} FROM ${from} WHERE d.organization_id = $1 AND ${isOf(holder)} AND d.id = $3`,
    [db.organizationId, holder.subscriptionId ?? holder.customerId, id],
  );
  return rows[0] && fromRow(rows[0]);
};

export type NewDiscount = Holder & Pick<Discount, 'couponId' | 'promotionCodeId' | 'startedAt' | 'metadata'>;

export const discountStore = {
  discountList,
  /** Of a customer, also those of its subscriptions. */
  discount: discountOf,
  discounts: async (db: Db, holder: Holder, page: ListPage) => {
    const { subscriptionId, customerId } = holder;
    const whose = subscriptionId === null ? { 'd.customer_id': customerId } : { 'd.subscription_id': subscriptionId };
    const { rows, ...rest } = await listRows<DiscountRow>(db, discountList, db.organizationId, page, whose);
    return { ...rest, rows: rows.map(fromRow) };
  },
  /** Under the lock of the coupon, which nobody else redeems meanwhile. */
  redemptionFacts: async (db: Db, couponId: string, holder: Holder): Promise<RedemptionFacts> => {
    const { rows } = await db.query<{ of_customer: number; is_held: boolean; has_invoices: boolean }>(
      redemptionStatement,
      [db.organizationId, couponId, holder.customerId, holder.subscriptionId],
    );
    const [row] = rows;
    return {
      ofCustomer: row?.of_customer ?? 0,
      isHeld: row?.is_held ?? false,
      hasInvoices: row?.has_invoices ?? false,
    };
  },
  addDiscount: async (db: Db, discount: NewDiscount, now: Date): Promise<Discount> => {
    const id = newId('dsc');
    await db.query(
      `INSERT INTO discounts (id, organization_id, coupon_id, promotion_code_id, customer_id, subscription_id,
         started_at, metadata, version, created_at, updated_at)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1, $9, $9)`,
      [
        ...[id, db.organizationId, discount.couponId, discount.promotionCodeId, discount.customerId],
        ...[discount.subscriptionId, new Date(discount.startedAt), discount.metadata, now],
      ],
    );
    return (await discountOf(db, discount, id)) as Discount;
  },
  /** Locked, so that it is ended once. */
  lockDiscount: async (db: Db, holder: Holder, id: string): Promise<Discount | undefined> => {
    await db.query('SELECT 1 FROM discounts WHERE organization_id = $1 AND id = $2 FOR NO KEY UPDATE', [
      db.organizationId,
      id,
    ]);
    return discountOf(db, holder, id);
  },
  endDiscount: async (db: Db, discount: Discount, endedAt: Instant, now: Date): Promise<Discount> => {
    await db.query(
      `UPDATE discounts SET ended_at = greatest($3, started_at), version = version + 1, updated_at = $4
       WHERE organization_id = $1 AND id = $2`,
      [db.organizationId, discount.id, new Date(endedAt), now],
    );
    return (await discountOf(db, discount, discount.id)) as Discount;
  },
  /** Of these those that the customer itself has, and that are not ended. */
  heldDiscounts: async (db: Db, customerId: string, ids: readonly string[]): Promise<ReadonlySet<string>> => {
    if (ids.length === 0) return new Set();
    const { rows } = await db.query<{ id: string }>(
      `SELECT id FROM discounts WHERE organization_id = $1 AND customer_id = $2 AND subscription_id IS NULL
         AND ended_at IS NULL AND id = ANY ($3)`,
      [db.organizationId, customerId, ids],
    );
    return new Set(rows.map(({ id }) => id));
  },
};

export type DiscountStore = typeof discountStore;
