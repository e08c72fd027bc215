/** What an export has of a customer beside what lists show. */
import type { Db } from '../route/define-route.ts';

export type RatedLines = { readonly subscriptionId: string; readonly chargeCode: string; readonly lines: bigint };

export const exportedRows = {
  /** How many lines were rated for each charge of a subscription, whichever of them are billed. */
  ratedLines: async (db: Db, subscriptionId: string): Promise<RatedLines[]> => {
    const { rows } = await db.query<{ charge_code: string; lines: bigint }>(
      `SELECT l.charge_code, count(*) AS lines
       FROM billing_periods p JOIN rated_lines l ON l.billing_period_id = p.id
       WHERE p.organization_id = $1 AND p.subscription_id = $2 AND l.organization_id = $1
       GROUP BY l.charge_code ORDER BY l.charge_code`,
      [db.organizationId, subscriptionId],
    );
    return rows.map(({ charge_code, lines }) => ({ subscriptionId, chargeCode: charge_code, lines }));
  },
};

export type ExportedRows = typeof exportedRows;
