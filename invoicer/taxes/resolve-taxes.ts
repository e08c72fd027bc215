/** Which taxes a charge of an invoice has: by whose it is, where that is, and when the invoice is issued. Pure. */
import { contains, type Instant } from '#schemas/period.ts';
import {
  type AppliedTax,
  type CustomerTaxTreatment,
  isInUnion,
  type TaxRate,
  zeroPercentage,
} from '#schemas/tax-rate.ts';

/** What is known in clear of who is billed. */
export type TaxedCustomer = {
  readonly country: string | null;
  /** As `normalState` writes it. */
  readonly state: string | null;
  /** The countries of its tax ids. */
  readonly taxIdCountries: readonly string[];
  readonly treatment: CustomerTaxTreatment;
  readonly exemptionReason: string | null;
  /** The rates that it names. */
  readonly taxRateIds: readonly string[];
};

/** Where who sells is registered; null where that is not known. */
export type TaxedSeller = { readonly country: string | null };

export const reverseChargeWords =
  'Reverse charge: the recipient is liable for VAT (Article 196, Directive 2006/112/EC)';
const exemptWords = (reason: string | null): string =>
  reason === null ? 'Exempt from tax' : `Exempt from tax: ${reason}`;

const untaxed = (treatment: 'reverse_charge' | 'exempt', name: string): AppliedTax => ({
  taxRateId: null,
  code: treatment,
  name,
  percentage: zeroPercentage,
  inclusive: false,
  treatment,
});

const isInForce = ({ validFrom, validUntil }: TaxRate, at: Instant): boolean =>
  contains({ start: validFrom ?? Number.NEGATIVE_INFINITY, end: validUntil ?? Number.POSITIVE_INFINITY }, at);

/**
 * A customer owes VAT by itself where it has a tax id of a member of the Union other than the seller's, and its address
 * is in that country too, where it has one. The ids of Northern Ireland are of the Union for goods alone, and what is
 * metered are services.
 */
const isReverseCharged = ({ country, taxIdCountries }: TaxedCustomer, seller: TaxedSeller): boolean =>
  seller.country !== null &&
  isInUnion(seller.country) &&
  taxIdCountries.some((one) => isInUnion(one) && one !== seller.country && (country === null || country === one));

/**
 * Of one place, a country or a state of it, the rates for the category; where there are none, those for none. All
 * places that a customer is in count together.
 */
const ratesOfPlace = (rates: readonly TaxRate[], category: string | null): readonly TaxRate[] => {
  const own = rates.filter(({ taxCategory }) => category !== null && taxCategory === category);
  return own.length > 0 ? own : rates.filter(({ taxCategory }) => taxCategory === null);
};

const toApplied = ({ id, code, name, percentage, inclusive }: TaxRate): AppliedTax => ({
  taxRateId: id,
  code,
  name,
  percentage,
  inclusive,
  treatment: 'taxed',
});

/**
 * In this order: who is exempt has none; who names rates has those; then the reverse charge; then the rates of the
 * place. `rates` are those of the organization that are not archived: where it has none, nobody has taxes.
 */
export const resolveTaxes = (
  rates: readonly TaxRate[],
  customer: TaxedCustomer,
  seller: TaxedSeller,
  issuedAt: Instant,
): ((category: string | null) => readonly AppliedTax[]) => {
  if (rates.length === 0) return () => [];
  if (customer.treatment === 'exempt') {
    const exempt = [untaxed('exempt', exemptWords(customer.exemptionReason))];
    return () => exempt;
  }
  const inForce = rates.filter((rate) => isInForce(rate, issuedAt));
  if (customer.taxRateIds.length > 0) {
    const named = inForce.filter(({ id }) => customer.taxRateIds.includes(id)).map(toApplied);
    return () => named;
  }
  if (isReverseCharged(customer, seller)) {
    const reversed = [untaxed('reverse_charge', reverseChargeWords)];
    return () => reversed;
  }
  const ofCountry = inForce.filter(({ country }) => country !== null && country === customer.country);
  const places = [
    ofCountry.filter(({ state }) => state === null),
    ofCountry.filter(({ state }) => state !== null && state === customer.state),
  ];
  return (category) => places.flatMap((place) => ratesOfPlace(place, category)).map(toApplied);
};
