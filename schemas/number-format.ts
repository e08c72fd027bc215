/** How the document numbers of a series are written: `INV-2026-000042`. Pure. */

/** When the numbers begin at 1 again. */
export const numberResets = ['yearly', 'never'] as const;

export type NumberFormat = {
  /** Ends with what is no digit, so that a number has one reading. */
  readonly prefix: string;
  readonly includesYear: boolean;
  /** So many digits at least. */
  readonly padding: number;
  readonly reset: (typeof numberResets)[number];
};

export const prefixPattern = '^[A-Z0-9._/-]{0,19}[A-Z._/-]$';

export const defaultNumberFormat: NumberFormat = { prefix: 'INV-', includesYear: true, padding: 6, reset: 'yearly' };

/** What stands before the digits. */
export const stemOf = ({ prefix, includesYear }: NumberFormat, year: number): string =>
  includesYear ? `${prefix}${year}-` : prefix;

export const documentNumberOf = (stem: string, number: number, { padding }: NumberFormat): string =>
  `${stem}${String(number).padStart(padding, '0')}`;

/** Of credit notes, where their issuer has no prefix of its own for them: another one than of all invoices. */
export const creditNotePrefixOf = (prefix: string): string =>
  prefix === defaultNumberFormat.prefix ? 'CN-' : `CN-${prefix}`;
