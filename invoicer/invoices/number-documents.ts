/**
 * Document numbers: each the next of its series. A series is what has one text before its digits, so another format
 * that comes to a text from before goes on where that stopped, and no number is given twice. Pure: the series come from
 * the store and go back to it under the lock of the organization.
 */
import { documentNumberOf, type NumberFormat, stemOf } from '#schemas/number-format.ts';

export type NumberingSeries = {
  /** The text before the digits, and without its year. */
  readonly stem: string;
  readonly prefix: string;
  /** Whose series it is; null where the organization had no entity. */
  readonly issuingEntityId: string | null;
  readonly last: number;
};

export type Numbering = {
  readonly next: (issuingEntityId: string | null, format: NumberFormat, year: number) => string;
  /** Those that went on. */
  readonly moved: () => NumberingSeries[];
};

export const numberingFrom = (stored: readonly NumberingSeries[]): Numbering => {
  const series = new Map(stored.map((one) => [one.stem, one]));
  const moved = new Set<string>();
  /** Numbers that never begin again go on over the years, and so over all stems of their prefix. */
  const lastOf = ({ reset, prefix }: NumberFormat, stem: string): number => {
    const own = series.get(stem)?.last ?? 0;
    if (reset === 'yearly') return own;
    return [...series.values()].reduce((last, one) => (one.prefix === prefix ? Math.max(last, one.last) : last), own);
  };
  return {
    next: (issuingEntityId, format, year) => {
      const stem = stemOf(format, year);
      const last = lastOf(format, stem) + 1;
      series.set(stem, { stem, prefix: format.prefix, issuingEntityId, last });
      moved.add(stem);
      return documentNumberOf(stem, last, format);
    },
    moved: () => [...series.values()].filter(({ stem }) => moved.has(stem)),
  };
};
