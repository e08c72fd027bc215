/** What statements read of what was carried over, and of what decides whether something may be. Pure. */
import { carriedMax } from '#platform/stores/carried-max.ts';
import { amountFromStored, zeroAmount } from '#schemas/money.ts';
import type { CarryTerms, InvoiceGroup } from './invoice-group.ts';

const asMs = (column: string): string => `(extract(epoch FROM ${column}) * 1000)::bigint`;

/** Of the billing periods `p` of a group: those that were carried over, and since when. JSON has no instants. */
export const carriedColumns = `json_object_agg(p.id, ${asMs('p.carried_from')})
    FILTER (WHERE p.carried_from IS NOT NULL) AS carried`;

/** And what decides whether the group may be carried over; `rank` is the place of a period on any invoice. */
export const carryFactsColumns = `json_object_agg(p.id, p.rank) AS ranks, bool_or(p.goes_on) AS goes_on,
    bool_or(p.is_last_carry) OR due_at >= min(coalesce(p.carried_from, p.due_at)) + ${carriedMax} AS is_last`;

/** Of the group `g`, its payer `c` and the organization `o`: the customer's own amount of a currency goes first. */
export const carryTermsColumns = `g.billed_with, ${asMs('g.due_at')} AS due_at, g.ranks, g.goes_on, g.is_last,
  coalesce(c.minimum_invoice_amounts ->> g.currency, o.minimum_invoice_amounts ->> g.currency) AS minimum_amount`;

type CarriedFrom = { carried: Record<string, number> | null };

export type CarriedRow = CarriedFrom & {
  billed_with: string;
  due_at: bigint;
  ranks: Record<string, number>;
  goes_on: boolean;
  is_last: boolean;
  minimum_amount: string | null;
};

/** The group with what was carried over to it. */
export const withCarried = (group: InvoiceGroup, { carried }: CarriedFrom): InvoiceGroup =>
  carried === null
    ? group
    : {
        ...group,
        periods: group.periods.map((period) => {
          const carriedFrom = carried[period.billingPeriodId];
          return carriedFrom === undefined ? period : { ...period, carriedFrom };
        }),
      };

const carryTermsFromRow = (row: CarriedRow): CarryTerms | undefined => {
  if (row.minimum_amount === null || row.is_last) return undefined;
  const minimum = amountFromStored(row.minimum_amount);
  if (minimum === zeroAmount) return undefined;
  const { billed_with: billedWith, due_at: dueAt, goes_on: goesOn, ranks } = row;
  return { billedWith, minimum, dueAt: Number(dueAt), goesOn, ranks: new Map(Object.entries(ranks)) };
};

/** And with whether it may be carried over itself. */
export const withCarry = (group: InvoiceGroup, row: CarriedRow): InvoiceGroup => {
  const carry = carryTermsFromRow(row);
  const mayWait = row.goes_on && !row.is_last && group.periods.every(({ correction }) => correction !== undefined);
  return { ...withCarried(group, row), ...(carry && { carry }), ...(mayWait && { mayWait }) };
};
