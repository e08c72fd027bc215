/** Price overrides as rating reads them: those that may stand in some billing periods, or those that a line names. */
import type { Queryable } from '#platform/stores/postgres.ts';
import type { PriceOverride } from '#schemas/price-span.ts';
import { type OverrideRow, overrideColumns, overrideFromRow, standingStatement } from './override-rows.ts';

export type OverridesAsked = {
  readonly planIds: readonly string[];
  readonly customerIds: readonly string[];
  /** The time that matters. */
  readonly start: Date;
  readonly end: Date;
  /** One that was made later does not count. */
  readonly madeUntil: string;
};

export const standingOverrides = async (
  postgres: Queryable,
  organizationId: string,
  { planIds, customerIds, start, end, madeUntil }: OverridesAsked,
): Promise<PriceOverride[]> => {
  const { rows } = await postgres.query<OverrideRow>(standingStatement, [
    organizationId,
    planIds,
    customerIds,
    start,
    end,
    madeUntil,
  ]);
  return rows.map(overrideFromRow);
};

/** By id. */
export const overridesNamed = async (
  postgres: Queryable,
  organizationId: string,
  ids: readonly string[],
): Promise<ReadonlyMap<string, PriceOverride>> => {
  if (ids.length === 0) return new Map();
  const { rows } = await postgres.query<OverrideRow>(
    `SELECT ${overrideColumns} FROM price_overrides WHERE organization_id = $1 AND id = ANY ($2)`,
    [organizationId, [...new Set(ids)]],
  );
  return new Map(rows.map((row) => [row.id, overrideFromRow(row)]));
};
