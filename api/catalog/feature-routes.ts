/** `/v1/features`: what plans entitle to. */
import { FailureError } from '#schemas/failures.ts';
import { FeatureId, FeaturePatch, Feature as FeatureSchema, GivenFeature, NewFeature } from '#schemas/http/features.ts';
import { NoContent } from '#schemas/http/fields.ts';
import type { Db, Routes } from '../route/define-route.ts';
import { listJson, listSchema } from '../route/lists.ts';
import { created, found, headToJson, refuseFaults, refuseIdForm, updated } from '../route/resource-fields.ts';
import type { CatalogStore } from './catalog.postgres.ts';
import type { Feature } from './features.postgres.ts';

export type FeaturePorts = { readonly catalog: CatalogStore };

const featureJson = (feature: Feature) => ({
  id: feature.id,
  code: feature.code,
  name: feature.name,
  type: feature.type,
  meter: feature.meter,
  ...headToJson(feature),
});

/** The id of the meter, locked against its end; null for a feature that is not metered. Refused at its place. */
const meterIdOf = async (
  catalog: CatalogStore,
  db: Db,
  { type, meter }: { readonly type: Feature['type']; readonly meter?: string },
): Promise<string | null> => {
  const refuse = (code: string, message: string) => refuseFaults([{ field: 'meter', code, message }]);
  if (type !== 'metered') {
    if (meter !== undefined) refuse('not_allowed', 'must be left out: only a metered feature has a meter');
    return null;
  }
  if (meter === undefined) {
    refuse('missing', 'must be the code of the meter that measures the feature');
    return null;
  }
  await catalog.newestVersions(db, [meter]);
  const found = await catalog.meter(db, meter);
  if (found?.code === meter) return found.id;
  refuse('not_found', `there is no meter ${meter}`);
  return null;
};

const tag = 'Features';
const read = { tag, scope: 'read:features' } as const;
const write = { tag, scope: 'write:features', rateClass: 'write' } as const;

const readingRoutes = ({ get, list }: Routes, { catalog }: FeaturePorts): void => {
  list(
    {
      ...read,
      url: '/v1/features',
      operation: 'listFeatures',
      summary: 'List features',
      list: catalog.featureList,
      answers: { 200: listSchema(FeatureSchema) },
      failures: [],
    },
    async ({ db, query }) => listJson(query, await catalog.features(db, query), featureJson),
  );
  get(
    {
      ...read,
      url: '/v1/features/:id',
      operation: 'getFeature',
      summary: 'Read a feature by id or code',
      params: FeatureId,
      answers: { 200: FeatureSchema },
      failures: ['FEATURE_NOT_FOUND'],
    },
    async ({ db, params }) => featureJson(found(await catalog.feature(db, params.id), 'FEATURE_NOT_FOUND')),
  );
};

export const featureRoutes = (routes: Routes, ports: FeaturePorts): void => {
  const { change } = routes;
  const { catalog } = ports;
  change(
    {
      ...write,
      method: 'POST',
      url: '/v1/features',
      operation: 'createFeature',
      summary: 'Create a feature that plans can entitle to',
      body: GivenFeature,
      documentedBody: NewFeature,
      answers: { 201: FeatureSchema },
      failures: ['FEATURE_ALREADY_EXISTS'],
    },
    async ({ db, body, nowMs }) => {
      const { code, name, type, metadata = {} } = body;
      refuseIdForm(code, 'code');
      const feature = { code, name, type, metadata, meterId: await meterIdOf(catalog, db, body) };
      const added = found(await catalog.addFeature(db, feature, new Date(nowMs)), 'FEATURE_ALREADY_EXISTS');
      return created('feature', '/v1/features', featureJson(added));
    },
  );
  readingRoutes(routes, ports);
  change(
    {
      ...write,
      method: 'PATCH',
      url: '/v1/features/:id',
      operation: 'updateFeature',
      summary: 'Change the name or the metadata of a feature',
      params: FeatureId,
      body: FeaturePatch,
      answers: { 200: FeatureSchema },
      failures: ['FEATURE_NOT_FOUND'],
    },
    async ({ db, params, body, nowMs, matchVersion }) => {
      const feature = found(await catalog.lockFeature(db, params.id), 'FEATURE_NOT_FOUND');
      matchVersion(feature.version);
      const { name = feature.name, metadata = feature.metadata } = body;
      const changed = await catalog.changeFeature(db, feature.id, { name, metadata }, new Date(nowMs));
      return updated('feature', featureJson(feature), featureJson(found(changed, 'FEATURE_NOT_FOUND')));
    },
  );
  change(
    {
      ...write,
      method: 'DELETE',
      url: '/v1/features/:id',
      operation: 'deleteFeature',
      summary: 'End a feature that no plan entitles to',
      params: FeatureId,
      answers: { 204: NoContent },
      failures: ['FEATURE_NOT_FOUND', 'FEATURE_IN_USE'],
    },
    async ({ db, params, nowMs, matchVersion }) => {
      const feature = found(await catalog.lockFeature(db, params.id), 'FEATURE_NOT_FOUND');
      matchVersion(feature.version);
      if (!(await catalog.endFeature(db, feature.id, new Date(nowMs)))) throw new FailureError('FEATURE_IN_USE');
      const before = featureJson(feature);
      const change = { action: 'feature.deleted', objectType: 'feature', objectId: feature.id, before };
      return { status: 204, body: undefined, changes: [change] };
    },
  );
};
