/** Promotion codes as rows of PostgreSQL. */

import { newId } from '#platform/process/ids.ts';
import type { Instant } from '#schemas/period.ts';
import type { Db } from '../route/define-route.ts';
import { listRows } from '../route/list-rows.postgres.ts';
import { customerFilter, defineList, type ListPage } from '../route/lists.ts';
import { headFromRow, type ResourceHead, type ResourceRow } from '../route/resource-fields.ts';
import { archivedFilter } from './coupons.postgres.ts';

export type PromotionCode = ResourceHead & {
  readonly id: string;
  readonly couponId: string;
  readonly code: string;
  /** The only one who can redeem it. */
  readonly customerId: string | null;
  readonly maxRedemptions: number | null;
  readonly redeemBy: Instant | null;
  readonly archivedAt: Instant | null;
  readonly redemptions: number;
};

export type NewPromotionCode = Pick<
  PromotionCode,
  'couponId' | 'code' | 'customerId' | 'maxRedemptions' | 'redeemBy' | 'metadata'
>;

type CodeRow = ResourceRow & {
  id: string;
  coupon_id: string;
  code: string;
  customer_id: string | null;
  max_redemptions: number | null;
  redeem_by: Date | null;
  archived_at: Date | null;
  redemptions: number;
};

const columns = `id, coupon_id, code, customer_id, max_redemptions, redeem_by, archived_at, redemptions, metadata,
  version, created_at, updated_at`;

const fromRow = (row: CodeRow): PromotionCode => ({
  id: row.id,
  couponId: row.coupon_id,
  code: row.code,
  customerId: row.customer_id,
  maxRedemptions: row.max_redemptions,
  redeemBy: row.redeem_by?.getTime() ?? null,
  archivedAt: row.archived_at?.getTime() ?? null,
  redemptions: row.redemptions,
  ...headFromRow(row),
});

const toDate = (instant: Instant | null): Date | null => (instant === null ? null : new Date(instant));

const promotionCodeList = defineList({
  name: 'promotion_codes',
  columns,
  from: 'promotion_codes',
  id: 'id',
  organization: 'organization_id',
  sorts: { created_at: { column: 'created_at', type: 'timestamptz' } },
  filters: {
    code: { column: 'lower(code)', test: (value) => `lower(code) = lower(${value})`, description: 'In whatever case.' },
    coupon_id: { column: 'coupon_id' },
    customer_id: customerFilter('customer_id'),
    archived: archivedFilter('archived_at'),
  },
  times: { created_at: 'created_at' },
});

const codeWhere = async (db: Db, condition: string, value: string): Promise<PromotionCode | undefined> => {
  const { rows } = await db.query<CodeRow>(
    `SELECT ${columns} FROM promotion_codes WHERE organization_id = $1 AND ${condition}`,
    [db.organizationId, value],
  );
  return rows[0] && fromRow(rows[0]);
};

export const promotionCodeStore = {
  promotionCodeList,
  /** Undefined where an active one is written like this. */
  addPromotionCode: async (db: Db, code: NewPromotionCode, now: Date): Promise<PromotionCode | undefined> => {
    const { rows } = await db.query<CodeRow>(
      `INSERT INTO promotion_codes (id, organization_id, coupon_id, code, customer_id, max_redemptions, redeem_by,
         metadata, version, created_at, updated_at)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1, $9, $9)
       ON CONFLICT (organization_id, lower(code)) WHERE archived_at IS NULL DO NOTHING RETURNING ${columns}`,
      [
        ...[newId('prm'), db.organizationId, code.couponId, code.code, code.customerId, code.maxRedemptions],
        ...[toDate(code.redeemBy), code.metadata, now],
      ],
    );
    return rows[0] && fromRow(rows[0]);
  },
  promotionCode: (db: Db, id: string): Promise<PromotionCode | undefined> => codeWhere(db, 'id = $2', id),
  lockPromotionCode: (db: Db, id: string): Promise<PromotionCode | undefined> =>
    codeWhere(db, 'id = $2 FOR NO KEY UPDATE', id),
  /** That is not archived, by how it is written. */
  activePromotionCode: (db: Db, code: string): Promise<PromotionCode | undefined> =>
    codeWhere(db, 'lower(code) = lower($2) AND archived_at IS NULL', code),
  promotionCodes: async (db: Db, page: ListPage) => {
    const { rows, ...rest } = await listRows<CodeRow>(db, promotionCodeList, db.organizationId, page);
    return { ...rest, rows: rows.map(fromRow) };
  },
  /** The row must be locked. */
  changePromotionCode: async (
    db: Db,
    id: string,
    { redeemBy, archivedAt, metadata }: Pick<PromotionCode, 'redeemBy' | 'archivedAt' | 'metadata'>,
    now: Date,
  ): Promise<PromotionCode> => {
    const { rows } = await db.query<CodeRow>(
      `UPDATE promotion_codes SET redeem_by = $3, archived_at = $4, metadata = $5, version = version + 1,
         updated_at = $6
       WHERE organization_id = $1 AND id = $2 RETURNING ${columns}`,
      [db.organizationId, id, toDate(redeemBy), toDate(archivedAt), metadata, now],
    );
    return fromRow(rows[0] as CodeRow);
  },
  /** The row must be locked. */
  countCodeRedemption: async (db: Db, id: string): Promise<void> => {
    await db.query('UPDATE promotion_codes SET redemptions = redemptions + 1 WHERE organization_id = $1 AND id = $2', [
      db.organizationId,
      id,
    ]);
  },
};

export type PromotionCodeStore = typeof promotionCodeStore;
