/**
 * Deltas of what somebody credited by hand: which of them are billed and given back all the same, how what is credited
 * is asked for, and the rows. By the invoicer, and by the API, which imports no adapter of the invoicer. Pure.
 *
 * A charge of which no line was credited differs as if there was no credit note. One that comes to more than was billed
 * of it was used after that, and nobody gave it back: it is new money, while something of its lines is left. What a
 * credited charge comes to less may be the very thing that was credited; that, and what was given up as a whole, is for
 * somebody to decide.
 */
import type { InvoiceLine } from '#schemas/invoice.ts';
import { zeroAmount } from '#schemas/money.ts';
import { netOf } from './take-back.ts';

/** Of the period that a delta corrects. */
export type HandCredited = {
  /** Whether nothing is left of an invoice that billed it, or a delta before was only reported. */
  readonly isGivenUp: boolean;
  /** Charges of which lines were credited by hand: whether something is left of each of these. */
  readonly isLeft: ReadonlyMap<string, boolean>;
};

/** By the billing period of the delta; one of what nobody credited is not there. */
export type HandCredits = ReadonlyMap<string, HandCredited>;

type DeltaLine = Pick<InvoiceLine, 'amount' | 'chargeCode' | 'discounts'>;

/** Whether what a delta comes to, with what it changes of discounts, is only reported. */
export const isForSomebody = (lines: readonly DeltaLine[], { isGivenUp, isLeft }: HandCredited): boolean =>
  lines.some((line) => {
    if (isGivenUp) return true;
    const left = isLeft.get(line.chargeCode ?? '');
    return left !== undefined && !(left && line.amount > zeroAmount && netOf(line) > zeroAmount);
  });

// Whatever delta gave some of a line back counts for what is left of it, and a credit note by hand for whether it was
// credited. A line of content version 1 names no billing period; its invoice has one.
/** Of those of the billing periods `$2` that are deltas of what was credited by hand. */
export const handCreditsStatement = `
WITH chain AS (
  SELECT d.id AS delta_id, b.id, b.invoice_id, b.state
  FROM unnest($2::text[]) AS n (id) CROSS JOIN LATERAL (
      SELECT p.id, p.corrects_id FROM billing_periods p
      WHERE p.id = n.id AND p.organization_id = $1 AND p.timing = 'delta' OFFSET 0
    ) d CROSS JOIN LATERAL (
      SELECT p.id, p.invoice_id, p.state FROM billing_periods p WHERE p.id = d.corrects_id
      UNION ALL
      SELECT p.id, p.invoice_id, p.state FROM billing_periods p WHERE p.corrects_id = d.corrects_id OFFSET 0
    ) b
)
SELECT c.delta_id, bool_or(c.state = 'reported' OR coalesce(x.is_given_up, false)) AS is_given_up,
  json_agg(x.lines) AS lines
FROM chain c LEFT JOIN LATERAL (
    SELECT s.amount_credited >= s.total AS is_given_up, (
        SELECT json_agg(json_build_object('code', l.charge_code, 'isLeft', k.amount <> l.amount))
        FROM (
            SELECT k.invoice_line, sum(k.amount) AS amount, bool_or(n.delta_id IS NULL) AS is_by_hand
            FROM credit_notes n JOIN credit_note_lines k ON k.credit_note_id = n.id
            WHERE n.invoice_id = s.invoice_id GROUP BY k.invoice_line
          ) k JOIN invoice_lines l ON l.invoice_id = s.invoice_id AND l.position = k.invoice_line
        WHERE k.is_by_hand
          AND (l.billing_period_id = c.id OR l.billing_period_id IS NULL AND l.kind IS DISTINCT FROM 'item')
      ) AS lines
    FROM invoice_states s
    WHERE s.invoice_id = c.invoice_id
      AND EXISTS (SELECT 1 FROM credit_notes n WHERE n.invoice_id = s.invoice_id AND n.delta_id IS NULL) OFFSET 0
  ) x ON true
GROUP BY c.delta_id HAVING bool_or(x.is_given_up IS NOT NULL)`;

export type HandCreditsRow = {
  delta_id: string;
  is_given_up: boolean;
  lines: ({ code: string; isLeft: boolean }[] | null)[];
};

export const handCreditsFromRows = (rows: readonly HandCreditsRow[]): HandCredits =>
  new Map(
    rows.map(({ delta_id: deltaId, is_given_up: isGivenUp, lines }) => {
      const byCode = Map.groupBy(
        lines.flatMap((own) => own ?? []),
        ({ code }) => code,
      );
      const isLeft = new Map([...byCode].map(([code, own]) => [code, own.every((line) => line.isLeft)]));
      return [deltaId, { isGivenUp, isLeft }];
    }),
  );
