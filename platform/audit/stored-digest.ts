/**
 * The digest of an object as it is stored: SHA-256 over the text of every column that schemas/audited-objects.ts names,
 * computed by PostgreSQL, where the rows are. The entry of a change takes it as the last step of its transaction, and
 * `npm run verify` holds it against the rows. No key: what is secret or personal in the rows is sealed or hashed with
 * random bits, so that nobody finds it out by trying.
 *
 * The text begins with the number of the form. Another set of columns must be another number beside the old one, or old
 * entries would stop verifying.
 */
import {
  type AuditedObject,
  type AuditedType,
  auditedObjects,
  type ChildRows,
  type ColumnForm,
  ratedLineColumns,
  uncountedActions,
} from '#schemas/audited-objects.ts';
import type { Queryable } from '../stores/postgres.ts';

const textOf = (alias: string, [column, as]: readonly [string, ColumnForm]): string => {
  const name = `${alias}.${column}`;
  if (as === 'bytes') return `encode(${name}, 'hex')`;
  // Seconds with all six digits, as a text would be in the time zone of the session.
  return as === 'instant' ? `extract(epoch FROM ${name})::text` : `${name}::text`;
};

const textsOf = (alias: string, columns: Readonly<Record<string, ColumnForm>>): string[] =>
  Object.entries(columns).map((column) => textOf(alias, column));

/** By bytes, as the order of a language may change with its version. */
const orderOf = (alias: string, order: readonly string[]): string =>
  order.map((column) => `${alias}.${column}::text COLLATE "C"`).join(', ');

const childrenOf = (children: readonly ChildRows[], parentId: string, depth: number): string[] =>
  children.map(({ table, parent, order, columns, children: below = [], when = 'true' }) => {
    const alias = `c${depth}`;
    const texts = [...textsOf(alias, columns), ...childrenOf(below, `${alias}.id`, depth + 1)];
    return `(SELECT jsonb_agg(jsonb_build_array(${texts.join(', ')}) ORDER BY ${orderOf(alias, order)})
      FROM ${table} ${alias} WHERE ${alias}.${parent} = ${parentId} AND ${when})`;
  });

const digestOfTexts = (texts: string): string => `encode(sha256(convert_to(${texts}::text, 'UTF8')), 'hex')`;

const rowAsSent = (alias: string, columns: Readonly<Record<string, ColumnForm>>, more: readonly string[] = []) =>
  `record_send(ROW(${[...Object.keys(columns).map((column) => `${alias}.${column}`), ...more].join(', ')}))`;

/** Each row says how many values it has and how long each of them is, so what follows on another is told from it. */
const childrenAsSent = ({ table, parent, order, columns, when = 'true' }: ChildRows): string =>
  `(SELECT string_agg(${rowAsSent('c1', columns)}, ''::bytea ORDER BY ${orderOf('c1', order)})
    FROM ${table} c1 WHERE c1.${parent} = t.id AND ${when})`;

/** The expression for the digest of the row `t`, in the newest form. */
export const storedDigest = (object: Omit<AuditedObject, 'earlier'>): string => {
  const { columns, settling, children, form = 1, asSent = false } = object;
  if (asSent) return `'${form}:' || encode(sha256(${rowAsSent('t', columns, children.map(childrenAsSent))}), 'hex')`;
  const texts = [...textsOf('t', columns), ...childrenOf(children, 't.id', 1)];
  const settled = settling
    ? `CASE WHEN ${settling.when} THEN jsonb_build_array(${textsOf('t', settling.columns).join(', ')}) END`
    : 'NULL::jsonb';
  return `'${form}:' || ${digestOfTexts(`jsonb_build_array(${[...texts, settled].join(', ')})`)}`;
};

/** The expression for the digests of the row `t` in every form: an entry has the one of its time. */
export const storedDigests = (object: AuditedObject): string =>
  `ARRAY[${[object, ...(object.earlier ?? [])].map(storedDigest).join(', ')}]`;

/**
 * The entries of the row `t` summed up, as one row. Keys of a sandbox are kept by keys of its live world too, and those
 * entries stand in that chain: `digests` has the last of each chain, of which one is the last of all. Looked up by the
 * index of objects, row by row: the log may be as long as it likes.
 */
export const entriesOf = (objectType: AuditedType): string => {
  const { created, organization }: AuditedObject = auditedObjects[objectType];
  const literals = (texts: readonly string[]): string => texts.map((text) => `'${text}'`).join(', ');
  return `SELECT sum(c.changes)::integer AS changes, bool_or(c.created) AS created, max(c.after) AS after,
      coalesce(array_agg(c.digest) FILTER (WHERE c.digest IS NOT NULL), '{}') AS digests
    FROM (
      SELECT count(*) FILTER (WHERE a.action NOT IN (${literals(uncountedActions)})) AS changes,
        ${created.length > 0 ? `bool_or(a.action IN (${literals(created)}))` : 'false'} AS created,
        max(a.after_digest) AS after, (array_agg(a.stored_digest ORDER BY a.object_sequence DESC))[1] AS digest
      FROM audit_log a
      WHERE a.organization_id = ANY (ARRAY(
          SELECT unnest(ARRAY[o.id, o.sandbox_of]) FROM organizations o WHERE o.id = t.${organization}))
        AND a.object_id = t.id AND a.object_type = '${objectType}'
      GROUP BY a.organization_id
    ) c`;
};

/** Which of the objects are stored as their last entries say; locks them until the end of the transaction. */
export const lockAccounted = async (
  db: Queryable,
  objectType: AuditedType,
  ids: readonly string[],
): Promise<ReadonlySet<string>> => {
  const object = auditedObjects[objectType];
  const { rows } = await db.query<{ id: string }>(
    `SELECT t.id FROM ${object.table} t, LATERAL (${entriesOf(objectType)}) e
     WHERE t.id = ANY ($1) AND ${storedDigests(object)} && e.digests
     ORDER BY t.id FOR NO KEY UPDATE OF t`,
    [ids],
  );
  return new Set(rows.map(({ id }) => id));
};

const byPeriod = ['billing_period_id', 'charge_code'];

const ratedLinesOf = (where: string): string =>
  `FROM rated_lines l WHERE l.organization_id = r.organization_id AND l.watermark = r.watermark AND ${where}`;
const ofPeriods = 'l.billing_period_id = ANY (s.billing_period_ids)';

const digestOfLineTexts = (form: 1 | 2 | 3, order: readonly string[], where: string): string =>
  `(SELECT '${form}:' || ${digestOfTexts(
    `jsonb_agg(jsonb_build_array(${textsOf('l', ratedLineColumns[form]).join(', ')}) ORDER BY ${orderOf('l', order)})`,
  )} ${ratedLinesOf(where)})`;

/**
 * Of each row as PostgreSQL sends it, with the type and the length of every value: that takes a fifth of what JSON of
 * the texts took, which was a third of all that PostgreSQL did for a line.
 */
const digestOfLineRows = (form: 4): string => {
  const row = Object.keys(ratedLineColumns[form]).map((column) => `l.${column}`);
  const ofRow = `encode(sha256(record_send(ROW(${row.join(', ')}))), 'hex')`;
  const rows = `string_agg(${ofRow}, chr(10) ORDER BY ${orderOf('l', byPeriod)})`;
  return `'${form}:' || ${digestOfTexts(rows)}`;
};

/** The digest of all rated lines `l` of a query, and the columns that it takes of them; null of none. */
export const digestOfRatedLines = digestOfLineRows(4);
export const digestedColumns: readonly string[] = Object.keys(ratedLineColumns[4]);

/** The expression for the digest of the rated lines of the shard `s` of the run `r`; null in none. */
export const ratedLinesDigest = `(SELECT ${digestOfRatedLines} ${ratedLinesOf(ofPeriods)})`;

/**
 * The same in the form that the shard has a digest of. One from before there were billing periods names subscriptions.
 */
export const ratedLinesDigestAsStored = `CASE split_part(s.lines_digest, ':', 1) WHEN '1' THEN ${digestOfLineTexts(
  1,
  ['subscription_id', 'charge_code'],
  'l.subscription_id = ANY (s.subscription_ids) AND l.period_start = r.period_start',
)} WHEN '2' THEN ${digestOfLineTexts(2, byPeriod, ofPeriods)}
  WHEN '3' THEN ${digestOfLineTexts(3, byPeriod, ofPeriods)} ELSE ${ratedLinesDigest} END`;
