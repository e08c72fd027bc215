/** What a customer says of its own taxes. */
import type { Fault } from '#schemas/failures.ts';
import type { GivenCustomerTax } from '#schemas/http/customers.ts';
import type { CustomerTaxTreatment } from '#schemas/tax-rate.ts';
import type { Db } from '../route/define-route.ts';
import { refuseFaults } from '../route/resource-fields.ts';
import type { TaxRateStore } from '../taxes/tax-rates.postgres.ts';

export type CustomerTax = {
  readonly treatment: CustomerTaxTreatment;
  readonly exemptionReason: string | null;
  /** Ids of the rates that it has instead of those of its place. */
  readonly rateIds: readonly string[];
};

export type TaxPorts = { readonly taxRates: Pick<TaxRateStore, 'holdTaxRates'> };

export const defaultTax: CustomerTax = { treatment: 'taxable', exemptionReason: null, rateIds: [] };

export const customerTaxJson = ({ treatment, exemptionReason, rateIds }: CustomerTax) => ({
  treatment,
  exemption_reason: exemptionReason,
  rates: [...rateIds],
});

/** As it is kept; undefined where it is left out. Its rates are held against their archival. */
export const readCustomerTax = async (
  { taxRates }: TaxPorts,
  db: Db,
  given: GivenCustomerTax | null | undefined,
): Promise<CustomerTax | undefined> => {
  if (given === undefined) return undefined;
  if (given === null) return defaultTax;
  const { treatment, exemption_reason: exemptionReason = null, rates = [] } = given;
  const ids = await taxRates.holdTaxRates(db, rates);
  const faults: Fault[] = rates.flatMap((name, index) =>
    ids.has(name)
      ? []
      : [
          {
            field: `tax.rates[${index}]`,
            code: 'not_found',
            message: `there is no tax rate ${name}, or it is archived`,
          },
        ],
  );
  if (exemptionReason !== null && treatment !== 'exempt') {
    const message = 'must be left out: only an exempt customer has a reason to be';
    faults.push({ field: 'tax.exemption_reason', code: 'not_allowed', message });
  }
  if (rates.length > 0 && treatment === 'exempt') {
    const message = 'must be left out: an exempt customer is charged none';
    faults.push({ field: 'tax.rates', code: 'not_allowed', message });
  }
  refuseFaults(faults);
  return { treatment, exemptionReason, rateIds: [...new Set(rates.map((name) => ids.get(name) as string))].sort() };
};
