/** Balances as callers see them. Pure. */
import type { Currency } from '#schemas/currency.ts';
import { formatInstant } from '#schemas/instant.ts';
import { type Amount, addAmounts, formatMinorUnits, sumAmounts, zeroAmount } from '#schemas/money.ts';
import type { InvoiceAhead } from '../subscription-views/draw-up-invoices.ts';
import { lineJson, unknownJson } from '../subscription-views/upcoming-json.ts';
import type { OwedInvoices } from './balances.postgres.ts';
import type { Balance } from './read-balance.ts';

type Owed = Omit<OwedInvoices, 'currency' | 'customerId'>;

const nothingOwed: Owed = {
  count: 0,
  amountDue: zeroAmount,
  overdueCount: 0,
  amountOverdue: zeroAmount,
};

const currencyJson = (currency: Currency, invoices: readonly InvoiceAhead[], owed: Owed) => {
  const text = (amount: Amount): string => formatMinorUnits(amount, currency);
  const sum = (amountOf: (content: InvoiceAhead['content']) => Amount): Amount =>
    sumAmounts(invoices.map(({ content }) => amountOf(content)));
  const total = sum((content) => content.total);
  return {
    currency,
    running: {
      subtotal: text(sum(({ subtotal }) => subtotal)),
      discount_total: text(sum(({ discountTotal }) => discountTotal)),
      tax_total: text(sum(({ taxTotal }) => taxTotal)),
      total: text(total),
    },
    open_invoices: {
      count: owed.count,
      amount_due: text(owed.amountDue),
      overdue_count: owed.overdueCount,
      amount_overdue: text(owed.amountOverdue),
    },
    total: text(addAmounts(total, owed.amountDue)),
  };
};

const subscriptionsJson = (running: readonly InvoiceAhead[]) => {
  const parts = Map.groupBy(
    running.flatMap((invoice) => invoice.parts),
    ({ subscription }) => subscription.id,
  );
  return [...parts]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([subscription_id, own]) => {
      const [{ subscription }] = own as [(typeof own)[number]];
      const currency = subscription.currency as Currency;
      const lines = own.flatMap((part) => [...part.known, ...part.ofUsage].map((line) => ({ part, line })));
      return {
        subscription_id,
        customer_id: subscription.customerId,
        currency,
        lines: lines.map(({ part, line }) => lineJson(part, line)),
        subtotal: formatMinorUnits(sumAmounts(lines.map(({ line }) => line.amount)), currency),
        unknown: unknownJson(own),
      };
    });
};

/** `paysIn`: the currency of the customer, where it has one. */
export const balanceJson = (customerId: string, paysIn: string | null, balance: Balance) => {
  const { now, watermark, owed, running } = balance;
  const runningIn = Map.groupBy(running, ({ content }) => content.currency);
  const owedIn = new Map(owed.map((one) => [one.currency, one]));
  const currencies = new Set([...runningIn.keys(), ...owedIn.keys()]);
  if (paysIn !== null) currencies.add(paysIn as Currency);
  return {
    customer_id: customerId,
    as_of: formatInstant(now),
    watermark: watermark.toString(),
    currencies: [...currencies]
      .toSorted()
      .map((currency) => currencyJson(currency, runningIn.get(currency) ?? [], owedIn.get(currency) ?? nothingOwed)),
    subscriptions: subscriptionsJson(running),
  };
};
