/** Changes of plan as other vendors publish them with their figures: what is unused, and what remains. */
import { expect, it } from 'vitest';
import { type Amount, formatAmount, parseAmount, toPrecise } from '#schemas/money.ts';
import { shareOf } from '../../../../rater/price/prorate.ts';

/** The share of the rest of a period, after so many of its parts. */
const rest = (price: string, from: number, of: number): string =>
  formatAmount(shareOf(toPrecise(parseAmount(price) as Amount), { by: 'day', from, to: of, of }, 'USD', 'half_up'));

it.each([
  // docs.stripe.com/billing/subscriptions/prorations: 10 to 20 halfway is -5 and +10.
  ['Stripe', '10', '20', 1, 2, '5', '10'],
  // docs.nadles.com/subscriptions/upgrades-and-downgrades: 100 to 300 with 5 of 31 days to go is -16.13 and 48.39.
  ['Nadles, up', '100', '300', 26, 31, '16.13', '48.39'],
  ['Nadles, down', '300', '100', 26, 31, '48.39', '16.13'],
  // docs.useautumn.com/documentation/modelling-pricing/proration: 20 to 50 halfway is 15 more.
  ['Autumn', '20', '50', 1, 2, '10', '25'],
  // Flexprice's documents on proration: a month, a quarter and a year.
  ['Flexprice, month', '50', '100', 10, 30, '33.33', '66.67'],
  ['Flexprice, quarter', '300', '150', 45, 90, '150', '75'],
  ['Flexprice, year', '600', '1200', 100, 365, '435.62', '871.23'],
])(
  '%s: from %s to %s after %i of %i parts, %s are unused and %s remain',
  (_, old, next, from, of, unused, remaining) => {
    expect([rest(old, from, of), rest(next, from, of)]).toEqual([unused, remaining]);
  },
);

it('differs by intent where a vendor rounds the price of a day before it multiplies', () => {
  // help.mlytics.com: 10 to 99 with 15 of 30 days to go is 0.33 x 15 = 4.95 and 3.30 x 15 = 49.50. Nothing is lost
  // here.
  expect([rest('10', 15, 30), rest('99', 15, 30)]).toEqual(['5', '49.5']);
});
