import { describe, expect, it } from 'vitest';
import { definedRoutes } from '../../support/api-routes.ts';

const urls = [...new Set(definedRoutes().map(({ url }) => url))];

describe('a path in which a name of a caller stands', () => {
  it.each(['/v1/meters', '/v1/plans', '/v1/customers'])(
    '%s/... has no other route in its place, which would hide a name',
    (folder) => {
      expect(urls).toContain(`${folder}/:id`);
      const beside = urls.filter((url) => url.startsWith(`${folder}/`) && !url.startsWith(`${folder}/:id`));
      expect(beside).toEqual([]);
    },
  );

  it('/v1/events/... has those that docs/names.md tells how to go around', () => {
    const beside = urls.filter((url) => /^\/v1\/events\/[^:/]+$/.test(url));
    expect(beside.toSorted()).toEqual(['/v1/events/amendments', '/v1/events/check']);
  });
});
