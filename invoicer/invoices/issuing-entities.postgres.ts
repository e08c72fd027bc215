/** Who issues the invoices of a shard. */
import type { Queryable } from '#platform/stores/postgres.ts';
import {
  type IssuingEntity,
  type IssuingEntityRow,
  issuingEntityColumns,
  issuingEntityFromRow,
} from '#schemas/issuing-entity.ts';
import type { GroupRow } from './invoice-groups.ts';

const entitiesStatement = `SELECT ${issuingEntityColumns} FROM issuing_entities WHERE id = ANY ($1)`;

/** By id; one statement where any of them names one. */
export const entitiesOf = async (
  db: Queryable,
  groups: readonly Pick<GroupRow, 'issuing_entity_id'>[],
): Promise<ReadonlyMap<string, IssuingEntity>> => {
  const ids = new Set(groups.flatMap(({ issuing_entity_id: id }) => id ?? []));
  if (ids.size === 0) return new Map();
  const { rows } = await db.query<IssuingEntityRow>(entitiesStatement, [[...ids]]);
  return new Map(rows.map((row) => [row.id, issuingEntityFromRow(row)]));
};
