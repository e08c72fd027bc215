/** How far the document numbers of an organization went, of one kind of documents. */
import type { Queryable } from '#platform/stores/postgres.ts';
import type { NumberingSeries } from './number-documents.ts';

type NumberingRow = { stem: string; prefix: string; issuing_entity_id: string | null; last_number: bigint };

/** Whoever holds the lock of the series of that kind reads and writes them. */
export const createNumbering = (table: 'credit_note_numbering' | 'numbering_series') => {
  const select = `SELECT stem, prefix, issuing_entity_id, last_number FROM ${table} WHERE organization_id = $1`;
  const upsert = `INSERT INTO ${table} (organization_id, stem, prefix, issuing_entity_id, last_number)
     SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[], $5::bigint[])
     ON CONFLICT (organization_id, stem) DO UPDATE SET prefix = excluded.prefix,
       issuing_entity_id = excluded.issuing_entity_id, last_number = excluded.last_number`;
  return {
    read: async (client: Queryable, organizationId: string): Promise<NumberingSeries[]> => {
      const { rows } = await client.query<NumberingRow>(select, [organizationId]);
      return rows.map(({ stem, prefix, issuing_entity_id: issuingEntityId, last_number: last }) => ({
        stem,
        prefix,
        issuingEntityId,
        last: Number(last),
      }));
    },
    write: async (client: Queryable, organizationId: string, numbering: readonly NumberingSeries[]): Promise<void> => {
      await client.query(upsert, [
        organizationId,
        numbering.map(({ stem }) => stem),
        numbering.map(({ prefix }) => prefix),
        numbering.map(({ issuingEntityId }) => issuingEntityId),
        numbering.map(({ last }) => last),
      ]);
    },
  };
};
