/** What all examples of the OpenAPI documents are made of. */

export const id = (prefix: string, last: number): string =>
  `${prefix}_01a1fb2b2f1e75dd8fa1574e85b725${last.toString(16).padStart(2, '0')}`;
export const hash = (digit: string): string => digit.repeat(64);

export const createdAt = '2026-11-01T08:00:00.000Z';
export const month = { start: '2026-10-01T00:00:00.000Z', end: '2026-11-01T00:00:00.000Z' };
/** As it stands in what is hashed. */
export const billedMonth = { start: '2026-10-01T00:00:00Z', end: '2026-11-01T00:00:00Z' };
export const resource = { metadata: {}, version: 1, created_at: createdAt, updated_at: createdAt };
export const page = (item: unknown) => ({
  items: [item],
  pagination: { total: 1, page_size: 1, has_more: false, next_cursor: null },
});
