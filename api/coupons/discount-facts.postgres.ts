/** What discounts of drafts and previews go by, in the transaction of a request. */
import {
  type BilledRow,
  billedBeforeFromRows,
  billedBeforeStatement,
} from '../../invoicer/corrections/billed-before.ts';
import {
  type ChargedRow,
  chargedFromRows,
  chargedOfUnwritten,
  chargedStatement,
  creditParameters,
} from '../../invoicer/discounts/charged-discounts.ts';
import type { DiscountedInvoices, DiscountFacts, UnwrittenPeriods } from '../../invoicer/discounts/discount-facts.ts';
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
} from '../../invoicer/discounts/discount-rows.ts';
import type { Db } from '../route/define-route.ts';

const chargedRows = async (
  db: Db,
  { organizationId, creditIds }: DiscountedInvoices,
  unwritten: UnwrittenPeriods | undefined,
): Promise<readonly ChargedRow[]> => {
  const { credits = [] } = unwritten ?? {};
  const written =
    creditIds.length > 0 ? (await db.query<ChargedRow>(chargedStatement, [organizationId, creditIds])).rows : [];
  if (credits.length === 0) return written;
  const { rows } = await db.query<ChargedRow>(chargedOfUnwritten, [organizationId, ...creditParameters(credits)]);
  return [...written, ...rows];
};

const billedRows = async (db: Db, { organizationId, creditIds }: DiscountedInvoices): Promise<readonly BilledRow[]> =>
  creditIds.length > 0 ? (await db.query<BilledRow>(billedBeforeStatement, [organizationId, creditIds])).rows : [];

/** Undefined where nothing has discounts. */
export const discountFacts = async (
  db: Db,
  invoices: DiscountedInvoices,
  unwritten?: UnwrittenPeriods,
): Promise<DiscountFacts | undefined> => {
  const { organizationId, customerIds, billingPeriodIds, planVersionIds, priceOverrideIds } = invoices;
  const takenBack = chargedFromRows(await chargedRows(db, invoices, unwritten));
  const billedBefore = billedBeforeFromRows(await billedRows(db, invoices));
  const found = await db.query<HeldRow>(heldStatement, [organizationId, customerIds, endedSince(billedBefore)]);
  const standing = { ...standingFromRows(found.rows), takenBack, billedBefore };
  if (hasNoDiscounts(standing)) return undefined;
  const charges = freeCharges(standing.held);
  const periods = await db.query<PeriodRow>(periodsStatement, [organizationId, billingPeriodIds]);
  const versions = await db.query<VersionRow>(versionsStatement, [organizationId, planVersionIds, charges]);
  const overrides =
    charges.length > 0 && priceOverrideIds.length > 0
      ? (await db.query<OverrideRow>(overridesStatement, [organizationId, priceOverrideIds])).rows
      : [];
  const rows = { periods: periods.rows, versions: versions.rows, overrides };
  return factsFromRows(standing, rows, unwritten?.periods);
};
