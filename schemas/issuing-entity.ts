/** Who issues invoices: a legal entity of an organization. */
import type { PostalAddress, TaxId } from '#schemas/http/customers.ts';
import type { Seller } from '#schemas/invoice.ts';
import { creditNotePrefixOf, defaultNumberFormat, type NumberFormat } from '#schemas/number-format.ts';

export type IssuingEntity = {
  readonly id: string;
  readonly legalName: string;
  readonly address: PostalAddress | null;
  readonly taxIds: readonly TaxId[];
  /** By whose calendar an invoice is of a year. */
  readonly timeZone: string;
  readonly numberFormat: NumberFormat;
  /** Of its credit notes; null follows from that of its invoices. */
  readonly creditNotePrefix: string | null;
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
  credit_note_prefix: string | null;
};

export const issuingEntityColumns = `id, legal_name, address, tax_ids, time_zone, number_prefix, number_year,
  number_padding, number_reset, credit_note_prefix`;

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
  creditNotePrefix: row.credit_note_prefix,
});

/** How credit notes of an issuer, or of nobody in particular, are numbered, and by the year of which time zone. */
export const creditNoteFormat = (
  entity: Pick<IssuingEntity, 'creditNotePrefix' | 'numberFormat' | 'timeZone'> | undefined,
): { readonly format: NumberFormat; readonly timeZone: string } => {
  const numberFormat = entity?.numberFormat ?? defaultNumberFormat;
  const prefix = entity?.creditNotePrefix ?? creditNotePrefixOf(numberFormat.prefix);
  return { format: { ...numberFormat, prefix }, timeZone: entity?.timeZone ?? 'UTC' };
};

/** What invoices say of it. */
export const sellerOf = ({ legalName, address, taxIds }: IssuingEntity): Seller => ({ legalName, address, taxIds });
