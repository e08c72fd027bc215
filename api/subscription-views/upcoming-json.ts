/** Lines that lie ahead as callers see them. Pure. */
import type { Currency } from '#schemas/currency.ts';
import { type Amount, formatMinorUnits, sumAmounts } from '#schemas/money.ts';
import { formatPeriod } from '#schemas/period.ts';
import { formatQuantity } from '#schemas/quantity.ts';
import type { RatedLine } from '#schemas/rated-line.ts';
import type { RatedPart } from './rate-upcoming.ts';

const planCodeOf = ({ subscription, part }: RatedPart): string =>
  subscription.planNames.get(part.planVersionId)?.planCode ?? part.planVersionId;

export const lineJson = (rated: RatedPart, line: RatedLine) => ({
  charge_code: line.chargeCode,
  description: line.chargeName,
  plan_code: planCodeOf(rated),
  meter: line.meter,
  timing: rated.part.timing,
  quantity: formatQuantity(line.quantity),
  amount: formatMinorUnits(line.amount, line.currency),
  period: formatPeriod(rated.part.span),
});

const totalText = (amounts: readonly Amount[], currency: string): string =>
  formatMinorUnits(sumAmounts(amounts), currency as Currency);

const amountsOf = (parts: readonly RatedPart[], which: 'known' | 'ofUsage'): Amount[] =>
  parts.flatMap((part) => part[which].map(({ amount }) => amount));

/** Lines of one kind, with their sum. */
export const linesJson = (parts: readonly RatedPart[], which: 'known' | 'ofUsage', currency: string) => ({
  lines: parts.flatMap((part) => part[which].map((line) => lineJson(part, line))),
  subtotal: totalText(amountsOf(parts, which), currency),
});

/** What can't be rated as things stand. */
export const unknownJson = (parts: readonly RatedPart[]) =>
  parts.flatMap((rated) =>
    rated.failure === undefined
      ? []
      : [{ plan_code: planCodeOf(rated), period: formatPeriod(rated.part.span), message: rated.failure }],
  );
