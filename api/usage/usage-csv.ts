/**
 * Usage as CSV (RFC 4180). Pure. A text of a caller that a spreadsheet would take for a formula gets an apostrophe in
 * front; numbers and times are ours and stay as they are.
 */

const formula = /^[=+\-@\t\r]/;
const quoted = (text: string): string =>
  /[",\r\n]/.test(text) || text === '' ? `"${text.replaceAll('"', '""')}"` : text;

/** A caller's text; null is an empty field, and the empty text two quotes. */
export const csvCell = (text: string | null): string =>
  text === null ? '' : quoted(formula.test(text) ? `'${text}` : text);

export type CsvRow = {
  readonly window_start: string;
  readonly window_end: string;
  readonly group: Readonly<Record<string, string | null>>;
  /** Where customers are grouped by; null: there is none of that name. */
  readonly customer?: { readonly id: string; readonly external_id: string } | null;
  readonly quantity: string | null;
  readonly events: string;
  readonly unmeasured_events: string;
};

/**
 * One column per name of `groupBy`, between the window and the numbers. Where customers are grouped by, the last
 * columns tell which ones these are.
 */
export const usageCsv = (groupBy: readonly string[], rows: readonly CsvRow[]): string => {
  const isByCustomer = groupBy.includes('customer_id');
  const header = [
    ...['window_start', 'window_end', ...groupBy.map(csvCell), 'quantity', 'events', 'unmeasured_events'],
    ...(isByCustomer ? ['customer.id', 'customer.external_id'] : []),
  ];
  const lines = rows.map((row) => [
    ...[row.window_start, row.window_end, ...groupBy.map((name) => csvCell(row.group[name] ?? null))],
    ...[row.quantity ?? '', row.events, row.unmeasured_events],
    ...(isByCustomer ? [row.customer?.id ?? '', csvCell(row.customer?.external_id ?? null)] : []),
  ]);
  return [header, ...lines].map((fields) => `${fields.join(',')}\r\n`).join('');
};
