/**
 * What discounts of invoices go by, as PostgreSQL has it: for the invoicer under the lock of the organization, where
 * nobody uses anything up meanwhile, and for the API of drafts and previews.
 */
import type { Queryable } from '#platform/stores/postgres.ts';
import { type BilledRow, billedBeforeFromRows, billedBeforeStatement } from '../corrections/billed-before.ts';
import { readCharged } from '../corrections/charged-lines.postgres.ts';
import type { ChargesOfCredits } from '../corrections/charged-lines.ts';
import type { UnwrittenCredit } from '../corrections/unwritten-credits.ts';
import type { DiscountedInvoices, DiscountFacts, UnwrittenPeriods } from './discount-facts.ts';
import {
  endedSince,
  factsFromRows,
  freeCharges,
  type HeldRow,
  hasNoDiscounts,
  heldStatement,
  type OverrideRow,
  overridesStatement,
  type PeriodRow,
  periodsStatement,
  standingFromRows,
  type VersionRow,
  versionsStatement,
} from './discount-rows.ts';

/** Of those that were discounted; and of what is not written down itself, where it stands. */
const takenBackOf = (charged: ChargesOfCredits, unwritten: readonly UnwrittenCredit[]): DiscountFacts['takenBack'] =>
  new Map([
    ...unwritten.flatMap(({ id, chargeId }) =>
      chargeId === undefined ? [] : [[id, { chargeId, lines: undefined }] as const],
    ),
    ...[...charged].map(([id, { chargeId, lines }]) => {
      const discounted = lines && new Map([...lines].filter(([, { discounts }]) => discounts.length > 0));
      return [id, { chargeId, lines: discounted }] as const;
    }),
  ]);

/** What was charged before of what credits take back and deltas correct; asked where there are any. */
const chargedBefore = async (
  db: Queryable,
  invoices: DiscountedInvoices,
  unwritten: UnwrittenPeriods | undefined,
): Promise<Pick<DiscountFacts, 'takenBack' | 'billedBefore'>> => {
  const { organizationId, creditIds } = invoices;
  const { credits = [] } = unwritten ?? {};
  const charged = await readCharged(db, invoices, credits);
  const billed =
    creditIds.length > 0 ? (await db.query<BilledRow>(billedBeforeStatement, [organizationId, creditIds])).rows : [];
  return { takenBack: takenBackOf(charged, credits), billedBefore: billedBeforeFromRows(billed) };
};

/**
 * Undefined where nothing has discounts, which one look tells, and nothing was discounted that is taken back, which
 * others do where there are credits or deltas.
 */
export const discountFacts = async (
  db: Queryable,
  invoices: DiscountedInvoices,
  unwritten?: UnwrittenPeriods,
): Promise<DiscountFacts | undefined> => {
  const { organizationId, customerIds, billingPeriodIds, planVersionIds, priceOverrideIds } = invoices;
  const before = await chargedBefore(db, invoices, unwritten);
  const since = endedSince(before.billedBefore);
  const found = await db.query<HeldRow>(heldStatement, [organizationId, customerIds, since]);
  const { supposed } = unwritten ?? {};
  const stored = { ...standingFromRows(found.rows), ...before };
  const standing = supposed
    ? { ...stored, rounding: supposed.rounding, held: [...stored.held, ...supposed.held] }
    : stored;
  if (hasNoDiscounts(standing)) return undefined;
  const charges = freeCharges(standing.held);
  const periods = await db.query<PeriodRow>(periodsStatement, [organizationId, billingPeriodIds]);
  const versions = await db.query<VersionRow>(versionsStatement, [organizationId, planVersionIds, charges]);
  const overrides =
    charges.length > 0 && priceOverrideIds.length > 0
      ? (await db.query<OverrideRow>(overridesStatement, [organizationId, priceOverrideIds])).rows
      : [];
  const rows = { periods: periods.rows, versions: versions.rows, overrides };
  const facts = factsFromRows(standing, rows, unwritten?.periods);
  if (!supposed) return facts;
  return { ...facts, priceOf: (line, overrideId) => supposed.priceOf(line) ?? facts.priceOf(line, overrideId) };
};
