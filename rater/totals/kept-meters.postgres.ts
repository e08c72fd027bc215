/** The meter versions that totals are kept of, of organizations that have usage. */
import type { Queryable } from '#platform/stores/postgres.ts';
import { meterOf } from '#schemas/stored-meter.ts';
import { hasTotals } from '../aggregate/cells.ts';
import type { KeepPorts } from './keep-totals.ts';

type Row = { organization_id: string; code: string; id: string; version_number: number; definition: unknown };

/** The newest of each meter that has not ended, and those that plan versions are bound to. */
const statement = `
SELECT v.organization_id, m.code, v.id, v.version_number, v.definition
FROM unnest($1::text[]) AS n (id) CROSS JOIN LATERAL (
    SELECT m.id, m.organization_id, m.code, m.deleted_at FROM meters m WHERE m.organization_id = n.id OFFSET 0
  ) m CROSS JOIN LATERAL (
    SELECT v.*, v.version_number = max(v.version_number) OVER () AS is_newest
    FROM meter_versions v WHERE v.meter_id = m.id OFFSET 0
  ) v LEFT JOIN LATERAL (
    SELECT true AS is_bound FROM plan_version_meters b WHERE b.meter_version_id = v.id LIMIT 1
  ) b ON true
WHERE (v.is_newest AND m.deleted_at IS NULL) OR b.is_bound
ORDER BY v.organization_id, v.id`;

export const createReadMeters =
  (postgres: Queryable): KeepPorts['readMeters'] =>
  async (tenants) => {
    const { rows } = await postgres.query<Row>(statement, [tenants]);
    return rows
      .map((row) => ({
        tenant: row.organization_id,
        meter: meterOf({
          code: row.code,
          versionId: row.id,
          versionNumber: row.version_number,
          definition: row.definition,
        }),
      }))
      .filter(({ meter }) => hasTotals(meter));
  };
