/** Who issues invoices: a legal entity of an organization. */
import type { PostalAddress, TaxId } from '#schemas/http/customers.ts';
import type { Seller } from '#schemas/invoice.ts';
import type { NumberFormat } from '#schemas/number-format.ts';

export type IssuingEntity = {
  readonly id: string;
  readonly legalName: string;
  readonly address: PostalAddress | null;
  readonly taxIds: readonly TaxId[];
  /** By whose calendar an invoice is of a year. */
  readonly timeZone: string;
  readonly numberFormat: NumberFormat;
};

export type IssuingEntityRow = {
  id: string;
  legal_name: string;
  address: PostalAddress | null;
  tax_ids: TaxId[];
  time_zone: string;
  number_prefix: string;
  number_year: boolean;
  number_padding: number;
  number_reset: NumberFormat['reset'];
};

export const issuingEntityColumns =
  'id, legal_name, address, tax_ids, time_zone, number_prefix, number_year, number_padding, number_reset';

export const issuingEntityFromRow = (row: IssuingEntityRow): IssuingEntity => ({
  id: row.id,
  legalName: row.legal_name,
  address: row.address,
  taxIds: row.tax_ids,
  timeZone: row.time_zone,
  numberFormat: {
    prefix: row.number_prefix,
    includesYear: row.number_year,
    padding: row.number_padding,
    reset: row.number_reset,
  },
});

/** What invoices say of it. */
export const sellerOf = ({ legalName, address, taxIds }: IssuingEntity): Seller => ({ legalName, address, taxIds });
