/**
 * SQL: what was rated last of the period that the delta `p` corrects, before it: on the invoice that bills the period,
 * or on a delta. What came to nothing for a draft has no lines of its own.
 */
export const ratedBefore = `
SELECT b.id, b.watermark FROM billing_periods b
WHERE (b.id = p.corrects_id OR b.corrects_id = p.corrects_id) AND b.state <> 'open'
  AND (p.watermark IS NULL OR b.watermark < p.watermark)
ORDER BY EXISTS (SELECT 1 FROM rated_lines l WHERE l.billing_period_id = b.id AND l.watermark = b.watermark) DESC,
  b.watermark DESC LIMIT 1`;
