import { expect, it } from 'vitest';
import { countries, isCountry } from '#schemas/country.ts';

it('there are as many countries as ISO 3166-1 assigns, each once and with a name', () => {
  expect(countries.size).toBe(249);
  const names = new Intl.DisplayNames('en', { type: 'region', fallback: 'none' });
  for (const code of countries) expect(names.of(code), code).toBeDefined();
});

it.each(['DE', 'GR', 'TW', 'ZW'])('%s is one', (code) => expect(isCountry(code)).toBe(true));

it.each(['XX', 'ZZ', 'AA', 'EU', 'UK', 'SU', 'EL', 'XI', 'de', ''])('%j is none', (code) =>
  expect(isCountry(code)).toBe(false),
);
