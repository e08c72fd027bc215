/**
 * The lines of deltas on a draft with what they change of discounts. Pure, but that `memory` has what they use.
 *
 * A charge that comes to the same has a line where its discounts do not: where an amount is shared with a charge that
 * comes to less, or all of the period is discounted otherwise by a commitment or a cap.
 */
import type { DiscountUse } from '#schemas/coupon.ts';
import type { DraftInvoice, InvoiceLine, InvoicePeriod } from '#schemas/invoice.ts';
import type { RatedLine } from '#schemas/rated-line.ts';
import { correctDiscounts, type DiscountChanges } from '../discounts/correct-discounts.ts';
import type { DiscountFacts } from '../discounts/discount-facts.ts';
import type { DiscountMemory } from '../discounts/discount-memory.ts';
import { countedPeriod } from '../discounts/discounted-line.ts';
import { unchangedLine } from './delta-lines.ts';
import { withLines } from './invoice-totals.ts';

export type CorrectedDraft = { readonly draft: DraftInvoice; readonly uses: readonly DiscountUse[] };

/** The lines of one delta, in the order of its plan. */
const withChanges = (
  lines: readonly InvoiceLine[],
  rated: readonly RatedLine[],
  changes: DiscountChanges,
): readonly InvoiceLine[] => {
  const [first] = lines;
  if (!first) return lines;
  const codes = new Set(lines.map(({ chargeCode }) => chargeCode));
  const more = rated
    .filter(({ chargeCode }) => changes.has(chargeCode) && !codes.has(chargeCode))
    .map((line) => unchangedLine(line, first));
  const places = new Map(rated.map(({ chargeCode, position }) => [chargeCode, position]));
  // What is gone from the plan's lines stays where it is: the sort is stable.
  const placeOf = ({ chargeCode }: InvoiceLine): number => places.get(chargeCode ?? '') ?? 0;
  const all = more.length > 0 ? [...lines, ...more].toSorted((a, b) => placeOf(a) - placeOf(b)) : lines;
  return all.map((line) => ({ ...line, discounts: changes.get(line.chargeCode ?? '') ?? [] }));
};

/** What a delta uses of discounts, or gives back: an entry a line. */
const usesOf = (changes: DiscountChanges, period: DiscountUse['period']): DiscountUse[] =>
  [...changes.values()].flat().map(({ discountId, amount }) => ({ discountId, isOnce: false, period, amount }));

/** `rated` are the lines of billing periods as they were rated now. */
export const correctDeltas = (
  draft: DraftInvoice,
  rated: ReadonlyMap<string, readonly RatedLine[]>,
  facts: DiscountFacts,
  memory: DiscountMemory,
): CorrectedDraft => {
  const isDelta = ({ correctsId }: InvoicePeriod) => correctsId !== undefined;
  if (!draft.periods.some(isDelta)) return { draft, uses: [] };
  const uses: DiscountUse[] = [];
  const byPeriod = new Map(Map.groupBy(draft.lines, ({ billingPeriodId }) => billingPeriodId ?? ''));
  for (const period of draft.periods.filter(isDelta)) {
    const { billingPeriodId: id } = period;
    const [billed, before] = [facts.periods.get(id), facts.billedBefore.get(id)];
    const [lines = [], now = []] = [byPeriod.get(id), rated.get(id)];
    if (!billed || !before || lines.length === 0) continue;
    const counted = countedPeriod(period, billed);
    const changes = correctDiscounts({ draft, period, counted, before, rated: now }, facts, memory);
    byPeriod.set(id, [...withChanges(lines, now, changes)]);
    for (const use of usesOf(changes, counted)) {
      memory.use(use);
      uses.push(use);
    }
  }
  const lines = [...byPeriod.values()].flat().map((line, index) => ({ ...line, position: index + 1 }));
  return { draft: withLines(draft, lines), uses };
};
