/**
 * What examples are made of. Those of a resource stand in its own file, as `examples` of its schemas: the tour of the
 * README, one object of each kind, which all fit together. What is sent works in an empty installation, in the order of
 * the tour and at any time: 2026-10 has ended.
 */

/** `last` is told apart from the ids of all other examples. */
export const exampleId = (prefix: string, last: number): string =>
  `${prefix}_01a1fb2b2f1e75dd8fa1574e85b725${last.toString(16).padStart(2, '0')}`;

export const exampleCreatedAt = '2026-11-01T08:00:00.000Z';
export const exampleMonth = { start: '2026-10-01T00:00:00.000Z', end: '2026-11-01T00:00:00.000Z' };

/** What each resource ends with. */
export const exampleHead = {
  metadata: {},
  version: 1,
  created_at: exampleCreatedAt,
  updated_at: exampleCreatedAt,
};

export const examplePage = (item: unknown) => ({
  items: [item],
  pagination: { total: 1, total_relation: 'exact', page_size: 1, has_more: false, next_cursor: null },
});
