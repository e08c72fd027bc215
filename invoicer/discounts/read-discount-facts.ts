/** What discounts of invoices go by: which statements are asked, in which order, whoever asks them. */
import {
  type ChargedRow,
  chargedFromRows,
  chargedOfUnwritten,
  chargedStatement,
  creditParameters,
  type UnwrittenCredit,
} from './charged-discounts.ts';
import type { DiscountedInvoices, DiscountedPeriod, DiscountFacts } from './discount-facts.ts';
import {
  freeCharges,
  type HeldRow,
  hasNoDiscounts,
  heldStatement,
  type OverrideRow,
  overridesStatement,
  type PeriodRow,
  periodsFromRows,
  periodsStatement,
  pricesFromRows,
  standingFromRows,
  type VersionRow,
  versionsStatement,
} from './discount-rows.ts';

/** A transaction, or a pool of connections. */
export type AskRows = <Row>(statement: string, values: unknown[]) => Promise<readonly Row[]>;

/** Billing periods that are not written down, by id, and those of them that are credits. */
export type UnwrittenPeriods = {
  readonly periods: ReadonlyMap<string, DiscountedPeriod>;
  readonly credits: readonly UnwrittenCredit[];
};

const nothing: UnwrittenPeriods = { periods: new Map(), credits: [] };

/**
 * Undefined where nothing has discounts, which one look tells, and no credit takes back what was discounted, which
 * another one does where there are credits.
 */
export const readDiscountFacts = async (
  ask: AskRows,
  invoices: DiscountedInvoices,
  { periods, credits }: UnwrittenPeriods = nothing,
): Promise<DiscountFacts | undefined> => {
  const { organizationId, creditIds, billingPeriodIds, planVersionIds, priceOverrideIds } = invoices;
  const standing = standingFromRows(await ask<HeldRow>(heldStatement, [organizationId, invoices.customerIds]));
  const takenBack = chargedFromRows([
    ...(creditIds.length > 0 ? await ask<ChargedRow>(chargedStatement, [organizationId, creditIds]) : []),
    ...(credits.length > 0
      ? await ask<ChargedRow>(chargedOfUnwritten, [organizationId, ...creditParameters(credits)])
      : []),
  ]);
  if (hasNoDiscounts(standing, takenBack)) return undefined;
  const charges = freeCharges(standing.held);
  const written = await ask<PeriodRow>(periodsStatement, [organizationId, billingPeriodIds]);
  const versions = await ask<VersionRow>(versionsStatement, [organizationId, planVersionIds, charges]);
  const overrides =
    charges.length > 0 && priceOverrideIds.length > 0
      ? await ask<OverrideRow>(overridesStatement, [organizationId, priceOverrideIds])
      : [];
  return {
    ...standing,
    takenBack,
    periods: new Map([...periods, ...periodsFromRows(written)]),
    planIds: new Map(versions.map(({ id, plan_id: planId }) => [id, planId])),
    priceOf: pricesFromRows(versions, overrides),
  };
};
