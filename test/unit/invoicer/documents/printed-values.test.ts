import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createPrinter } from '../../../../invoicer/documents/printed-values.ts';
import type { Currency } from '../../../../schemas/currency.ts';
import { scaled } from '../../../support/scale.ts';

const printer = (locale: string, currency = 'EUR', timeZone = 'UTC') =>
  createPrinter(locale, timeZone, currency as Currency);
const spaces = (text: string) => text.replace(/[\u00a0\u202f\u2009]/g, ' ');

describe('what a language writes', () => {
  it.each([
    ['en-US', 'USD', '12345678901234567890.12', '$12,345,678,901,234,567,890.12'],
    ['en-US', 'USD', '-0.05', '-$0.05'],
    ['en-US', 'JPY', '500', '¥500'],
    ['en-US', 'HUF', '500.05', 'HUF 500.05'],
    ['en-US', 'KWD', '1.234', 'KWD 1.234'],
    ['de-DE', 'EUR', '1234.50', '1.234,50 €'],
    ['fr-FR', 'EUR', '1234.50', '1 234,50 €'],
    ['es-ES', 'EUR', '12345.50', '12.345,50 €'],
  ])('in %s an amount of %s %s is %s', (locale, currency, amount, written) => {
    expect(spaces(printer(locale, currency).amount(amount))).toBe(written);
  });

  it('shows what a unit costs to the last of 12 decimals, and at least minor units', () => {
    expect(printer('en-US', 'USD').unitAmount('0.000000000001')).toBe('$0.000000000001');
    expect(printer('en-US', 'USD').unitAmount('20')).toBe('$20.00');
  });

  it('names the last day of a period, by the calendar of its zone', () => {
    const period = { start: Date.parse('2026-09-30T22:00:00Z'), end: Date.parse('2026-10-31T23:00:00Z') };
    expect(spaces(printer('en-US', 'EUR', 'Europe/Berlin').period(period))).toMatch(/^Oct 1 ?– ?31, 2026$/);
    expect(spaces(printer('de-DE', 'EUR', 'Europe/Berlin').date(period.start))).toBe('1. Oktober 2026');
  });

  it('writes percentages and countries', () => {
    expect(spaces(printer('de-DE').percentage('5.5'))).toBe('5,5 %');
    expect(printer('en-US').percentage('8.875')).toBe('8.875%');
    expect(printer('fr-FR').country('DE')).toBe('Allemagne');
    expect(printer('en-US').country('XQ')).toBe('XQ');
  });

  it('no digit of an amount is lost or rounded by a float', () => {
    const digits = fc.bigInt({ min: -(10n ** 30n), max: 10n ** 30n });
    fc.assert(
      fc.property(digits, (cents) => {
        const bare = cents < 0n ? -cents : cents;
        const whole = (bare / 100n).toString();
        const text = `${cents < 0n ? '-' : ''}${whole}.${(bare % 100n).toString().padStart(2, '0')}`;
        const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ',');
        expect(printer('en-US', 'USD').amount(text)).toBe(
          `${cents < 0n ? '-' : ''}$${grouped}.${(bare % 100n).toString().padStart(2, '0')}`,
        );
      }),
      { numRuns: scaled(50) },
    );
  });
});
