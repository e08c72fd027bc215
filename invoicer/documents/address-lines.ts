/** An address as it stands on a letter of its country. Pure. */
import type { DocumentAddress } from './invoice-document.ts';

const joined = (parts: readonly (string | undefined)[], separator: string): string =>
  parts.filter((part) => part !== undefined && part !== '').join(separator);

/** City, state and code on one line: "Springfield, IL 62701". */
const cityFirst = new Set(['US', 'CA', 'AU', 'NZ', 'IN', 'PR', 'TW', 'TH', 'ZA', 'SG']);
/** The code stands by itself below the city. */
const codeLast = new Set(['GB', 'IE', 'IM', 'JE', 'GG', 'GI', 'RU', 'UA', 'KE', 'LK']);
/** From the largest to the smallest. */
const largestFirst = new Set(['JP', 'CN', 'KR']);

const placeLines = ({ city, state, postalCode, country }: DocumentAddress): readonly string[] => {
  if (cityFirst.has(country)) return [joined([city, joined([state, postalCode], ' ')], ', ')];
  if (codeLast.has(country)) return [city, state ?? '', postalCode ?? ''];
  return [joined([postalCode, city], ' '), state ?? ''];
};

/** `countryName` in the language of the document. */
export const addressLines = (address: DocumentAddress, countryName: string): readonly string[] => {
  const { line1, line2, city, state, postalCode, country } = address;
  const lines = largestFirst.has(country)
    ? [postalCode ?? '', joined([state, city], ' '), line1, line2 ?? '']
    : [line1, line2 ?? '', ...placeLines(address)];
  return [...lines, countryName].filter((line) => line !== '');
};
