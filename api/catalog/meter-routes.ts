/** `/v1/meters`: what turns events into quantities, by versions that never change. */

import { FailureError } from '#schemas/failures.ts';
import { NoContent } from '#schemas/http/fields.ts';
import {
  MeterId,
  MeterPatch,
  MeterPatchDocument,
  Meter as MeterSchema,
  MeterVersion as MeterVersionSchema,
  MeterWithTotals,
  NewMeter,
  NewMeterDocument,
} from '#schemas/http/meters.ts';
import { formatInstant } from '#schemas/instant.ts';
import type { MeterDefinitionJson } from '#schemas/meter.ts';
import { hasTotals } from '../../rater/aggregate/cells.ts';
import type { Routes } from '../route/define-route.ts';
import { listJson, listSchema } from '../route/lists.ts';
import { created, found, headToJson, updated } from '../route/resource-fields.ts';
import type { CatalogStore } from './catalog.postgres.ts';
import type { Meter, MeterVersion } from './meters.postgres.ts';
import { newMeterFromJson, patchedDefinition } from './read-meter.ts';

/** How far the totals of a meter version have come. */
export type TotalsProgress =
  | { readonly state: 'waiting' | 'unknown' }
  | {
      readonly state: 'filling' | 'kept';
      readonly days: number;
      readonly daysMade: number;
      readonly watermark: bigint;
    };

export type MeterPorts = {
  readonly catalog: CatalogStore;
  readonly totalsProgress: (organizationId: string, meterVersionId: string) => Promise<TotalsProgress>;
};

/** Every field of a definition, null where it has none. */
export const definitionJson = ({ group_by = [], ...json }: MeterDefinitionJson) => ({
  event: json.event,
  aggregation: json.aggregation,
  property: json.property ?? null,
  expression: json.expression ?? null,
  filter: json.filter ?? null,
  group_by,
  rounding: json.rounding ?? null,
  percentile: json.percentile ?? null,
});

const meterJson = (meter: Meter) => ({
  id: meter.id,
  code: meter.code,
  name: meter.name,
  version_number: meter.versionNumber,
  ...definitionJson(meter.definition),
  ...headToJson(meter),
});

const noTotals = { days: null, days_made: null, watermark: null };
const totalsJson = (progress: TotalsProgress | { readonly state: 'none' }) =>
  'days' in progress
    ? {
        state: progress.state,
        days: progress.days,
        days_made: progress.daysMade,
        watermark: progress.watermark.toString(),
      }
    : { state: progress.state, ...noTotals };

const versionJson = (version: MeterVersion) => ({
  id: version.id,
  meter_id: version.meterId,
  version_number: version.versionNumber,
  ...definitionJson(version.definition),
  created_at: formatInstant(version.createdAt),
});

const tag = 'Meters';

const readingRoutes = ({ get, list }: Routes, { catalog, totalsProgress }: MeterPorts): void => {
  list(
    {
      url: '/v1/meters',
      operation: 'listMeters',
      tag,
      summary: 'List meters',
      scope: 'read:meters',
      list: catalog.meterList,
      answers: { 200: listSchema(MeterSchema) },
      failures: [],
    },
    async ({ db, query }) => listJson(query, await catalog.meters(db, query), meterJson),
  );
  get(
    {
      url: '/v1/meters/:id',
      operation: 'getMeter',
      tag,
      summary: 'Read a meter by id or code, with how far its totals have come',
      scope: 'read:meters',
      params: MeterId,
      answers: { 200: MeterWithTotals },
      changesByItself: true,
      failures: ['METER_NOT_FOUND'],
    },
    async ({ db, params }) => {
      const meter = found(await catalog.meter(db, params.id), 'METER_NOT_FOUND');
      const totals = hasTotals(meter.definition)
        ? await totalsProgress(db.organizationId, meter.versionId)
        : { state: 'none' as const };
      return { ...meterJson(meter), totals: totalsJson(totals) };
    },
  );
  list(
    {
      url: '/v1/meters/:id/versions',
      operation: 'listMeterVersions',
      tag,
      summary: 'List what a meter measured and measures',
      scope: 'read:meters',
      params: MeterId,
      list: catalog.meterVersionList,
      answers: { 200: listSchema(MeterVersionSchema) },
      failures: ['METER_NOT_FOUND'],
    },
    async ({ db, params, query }) => {
      const { id } = found(await catalog.meter(db, params.id), 'METER_NOT_FOUND');
      return listJson(query, await catalog.meterVersions(db, id, query), versionJson);
    },
  );
};

export const meterRoutes = (routes: Routes, ports: MeterPorts): void => {
  const { change } = routes;
  const { catalog } = ports;
  // A definition is read by its own reader, which names every fault at its place; the schema of the route only bounds
  // what comes in.
  change(
    {
      method: 'POST',
      url: '/v1/meters',
      operation: 'createMeter',
      tag,
      summary: 'Create a meter with its first version',
      scope: 'write:meters',
      rateClass: 'write',
      body: NewMeter,
      documentedBody: NewMeterDocument,
      answers: { 201: MeterSchema },
      failures: ['METER_ALREADY_EXISTS'],
    },
    async ({ db, body, nowMs }) => {
      const { metadata = {}, ...json } = body;
      const meter = { ...newMeterFromJson(json), metadata };
      const added = found(await catalog.addMeter(db, meter, new Date(nowMs)), 'METER_ALREADY_EXISTS');
      return created('meter', '/v1/meters', meterJson(added));
    },
  );
  readingRoutes(routes, ports);
  change(
    {
      method: 'PATCH',
      url: '/v1/meters/:id',
      operation: 'updateMeter',
      tag,
      summary:
        'Change a meter; what changes its definition makes a new version, and plans keep the one that they were made with',
      scope: 'write:meters',
      rateClass: 'write',
      params: MeterId,
      body: MeterPatch,
      documentedBody: MeterPatchDocument,
      answers: { 200: MeterSchema },
      failures: ['METER_NOT_FOUND'],
    },
    async ({ db, params, body, nowMs, matchVersion }) => {
      const meter = found(await catalog.lockMeter(db, params.id), 'METER_NOT_FOUND');
      matchVersion(meter.version);
      const { name = meter.name, metadata = meter.metadata } = body;
      const next = { name, metadata, definition: patchedDefinition(meter, body) };
      const changed = found(await catalog.changeMeter(db, meter, next, new Date(nowMs)), 'METER_NOT_FOUND');
      return updated('meter', meterJson(meter), meterJson(changed));
    },
  );
  change(
    {
      method: 'DELETE',
      url: '/v1/meters/:id',
      operation: 'deleteMeter',
      tag,
      summary: 'End a meter that no plan charges by',
      scope: 'write:meters',
      rateClass: 'write',
      params: MeterId,
      answers: { 204: NoContent },
      failures: ['METER_NOT_FOUND', 'METER_IN_USE'],
    },
    async ({ db, params, nowMs, matchVersion }) => {
      const meter = found(await catalog.lockMeter(db, params.id), 'METER_NOT_FOUND');
      matchVersion(meter.version);
      if (!(await catalog.endMeter(db, meter.id, new Date(nowMs)))) throw new FailureError('METER_IN_USE');
      const change = { action: 'meter.deleted', objectType: 'meter', objectId: meter.id, before: meterJson(meter) };
      return { status: 204, body: undefined, changes: [change] };
    },
  );
};
