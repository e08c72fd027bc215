/**
 * How the rows that prices refer to are asked for: by the rater, and by the API, which imports no adapter of the
 * rater. Texts of SQL alone.
 */
import { chainMax } from '#schemas/credit-unit.ts';

const bookColumns = `b.code, b.currency, b.dimensions, v.id, v.version_number, v.effective_from, v.entries,
  trim_scale(v.default_cost)::text AS default_cost`;
const rateColumns = 'u.code, r.id, r.rate_number, r.effective_from, r.unit, trim_scale(r.amount)::text AS amount';

/**
 * $1 the organization, $2 codes, $3 and $4 a time: of a book the versions that begin inside of it, the one that is in
 * force at its start, and where there is none until its end the first. $5 is by when they were made (`madeUntil`).
 */
export const booksStatement = `SELECT ${bookColumns}
  FROM cost_books b LEFT JOIN LATERAL (
      SELECT (SELECT max(effective_from) FROM cost_book_versions WHERE cost_book_id = b.id AND effective_from <= $3
          AND created_at <= $5) AS before,
        (SELECT min(effective_from) FROM cost_book_versions WHERE cost_book_id = b.id AND created_at <= $5) AS first
    ) AS t ON true
    LEFT JOIN cost_book_versions v ON v.cost_book_id = b.id AND v.effective_from >= coalesce(t.before, t.first)
      AND v.effective_from < greatest($4, t.first + interval '1 ms') AND v.created_at <= $5
  WHERE b.organization_id = $1 AND b.code = ANY ($2)`;

/**
 * $1 the organization, $2 codes: all rates of the units and of those that they are worth some of; a row is short. $3 is
 * by when they were made.
 */
export const ratesStatement = `WITH RECURSIVE units AS (
    SELECT id, code, 1 AS depth FROM credit_units WHERE organization_id = $1 AND code = ANY ($2)
    UNION
    SELECT o.id, o.code, u.depth + 1 FROM units u JOIN credit_unit_rates r ON r.credit_unit_id = u.id
        AND r.created_at <= $3
      JOIN credit_units o ON o.organization_id = $1 AND o.code = r.unit WHERE u.depth < ${chainMax}
  )
  SELECT ${rateColumns}
  FROM (SELECT DISTINCT id, code FROM units) AS u LEFT JOIN credit_unit_rates r ON r.credit_unit_id = u.id
    AND r.created_at <= $3`;

/** $1 the organization, $2 ids of versions. */
export const namedVersionsStatement = `SELECT ${bookColumns}
  FROM cost_book_versions v JOIN cost_books b ON b.id = v.cost_book_id
  WHERE v.organization_id = $1 AND v.id = ANY ($2)`;

/** $1 the organization, $2 ids of rates. */
export const namedRatesStatement = `SELECT ${rateColumns}
  FROM credit_unit_rates r JOIN credit_units u ON u.id = r.credit_unit_id
  WHERE r.organization_id = $1 AND r.id = ANY ($2)`;

/** One-time charges by their ids. */
export const oneTimeStatement = `
SELECT id, name, trim_scale(coalesce(unit_amount, amount))::text AS amount FROM one_time_charges
WHERE organization_id = $1 AND id = ANY ($2)`;
