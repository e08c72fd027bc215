/**
 * Tax ids whose kind is known, held against the form of their country, check digits included. Whether an id was given
 * to the customer, or to anyone, only its tax office knows. Pure.
 */
import { type Country, checkVAT, countries } from 'jsvat-next';
import type { Fault } from '#schemas/fault.ts';

export type TaxId = { readonly type: string; readonly value: string };

const codesOfUnion = 'AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK'.split(' ');

const known: ReadonlyMap<string, Country> = new Map(countries.map((country) => [country.codes[0] ?? '', country]));
/** The scheme of the Union for those outside of it; no country. */
const oneStopShop = 'EU';

type Kind = { readonly countries: readonly Country[]; readonly expected: string; readonly prefix?: RegExp };

const kindOf = (wanted: readonly string[], expected: string, prefix?: RegExp): Kind => ({
  countries: wanted.flatMap((code) => known.get(code) ?? []),
  expected,
  ...(prefix ? { prefix } : {}),
});

/** `xx_vat` of each country that the library knows, and `eu_vat`, which says its country itself. */
const kinds: ReadonlyMap<string, Kind> = new Map([
  ...[...known]
    .filter(([code]) => code !== oneStopShop)
    .map(([code, { name }]): [string, Kind] => [
      `${code.toLowerCase()}_vat`,
      kindOf([code], `a VAT number of ${name}`),
    ]),
  ['gb_vat', kindOf(['GB'], 'a VAT number of the United Kingdom with its prefix, such as GB110305878')],
  ['ch_vat', kindOf(['CH'], 'a UID of Switzerland, such as CHE-116.281.710 MWST')],
  ['no_vat', kindOf(['NO'], 'an organisation number of Norway, such as 923609016MVA')],
  [
    'eu_vat',
    // Northern Ireland has the numbers of the United Kingdom, with a prefix of its own.
    kindOf(
      [...codesOfUnion, oneStopShop, 'GB'],
      'a VAT number of a country of the European Union with the prefix of that country, such as DE811907980',
      /^(?!GB)[A-Z]{2}/,
    ),
  ],
]);

/** As people write them. */
const bare = (value: string): string => value.toUpperCase().replace(/[ .-]/g, '');

const isOf = ({ countries: wanted, prefix }: Kind, value: string): boolean => {
  const text = bare(value);
  return (prefix?.test(text) ?? true) && checkVAT(text.replace(/^NO(?=\d)/, ''), wanted).isValid;
};

/**
 * The country that a tax id of a known kind is of, by ISO 3166-1, which writes GR for the numbers of EL; XI is Northern
 * Ireland, and a number of the One Stop Shop is of no country.
 */
export const countryOfTaxId = ({ type, value }: TaxId): string | undefined => {
  if (!kinds.has(type)) return undefined;
  const code = type === 'eu_vat' ? bare(value).slice(0, 2) : type.slice(0, 2).toUpperCase();
  if (code === oneStopShop) return undefined;
  return code === 'EL' ? 'GR' : code;
};

/** Kinds that are not known pass. */
export const taxIdFaults = (taxIds: readonly TaxId[], field: string): Fault[] =>
  taxIds.flatMap(({ type, value }, index) => {
    const kind = kinds.get(type);
    if (kind === undefined || isOf(kind, value)) return [];
    const message = `must be ${kind.expected}: its digits or their check digits are not right`;
    return [{ field: `${field}[${index}].value`, code: 'wrong_format', message }];
  });
