/**
 * What taxes go by of a customer's address and tax ids, which are sealed: where it is, and of which countries its ids
 * are. It is kept beside them in clear. Pure.
 */
import type { Personal } from '#schemas/http/customers.ts';
import { normalState } from '#schemas/tax-rate.ts';
import { countryOfTaxId } from '../issuing/tax-ids.ts';

export type TaxPlace = {
  readonly country: string | null;
  readonly state: string | null;
  /** Each once. */
  readonly taxIdCountries: readonly string[];
};

export const taxPlaceOf = ({ address, tax_ids: taxIds = [] }: Personal): TaxPlace => {
  const state = address?.state === undefined ? '' : normalState(address.country, address.state);
  const countries = taxIds.map(countryOfTaxId).filter((country) => country !== undefined);
  return {
    country: address?.country ?? null,
    state: state === '' ? null : state,
    taxIdCountries: [...new Set(countries)].sort(),
  };
};
