/** `/v1/meters`: what turns events into quantities, by versions that never change. */

import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import { FailureError, type Fault } from '#schemas/failures.ts';
import { type JsonObject, ownValue, type Parsed, readText } from '#schemas/fault.ts';
import { IdParam, NoContent } from '#schemas/http/fields.ts';
import {
  Meter,
  MeterPatch,
  MeterPatchDocument,
  MeterVersion,
  NewMeter,
  NewMeterDocument,
} from '#schemas/http/meters.ts';
import { formatInstant } from '#schemas/instant.ts';
import {
  definitionFields,
  type MeterDefinition,
  type MeterDefinitionJson,
  meterDefinitionFromJson,
  meterDefinitionToJson,
} from '#schemas/meter.ts';
import { misreadPathFaults } from '#schemas/misread-paths.ts';
import { readNewCode } from '#schemas/names.ts';
import { nameRule } from '#schemas/plan.ts';
import { storedDefinition } from '#schemas/stored-meter.ts';
import type { Routes } from '../route/define-route.ts';
import { listJson, listSchema } from '../route/lists.ts';
import { created, found, refuseFaults, resourceJson, updated } from '../route/resource-fields.ts';
import type { CatalogStore } from './catalog.postgres.ts';
import type { MeterRow, MeterVersionRow } from './meters.postgres.ts';

export type MeterPorts = {
  readonly catalog: CatalogStore;
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

const meterJson = (row: MeterRow) => ({
  id: row.id,
  code: row.code,
  name: row.name,
  version_number: row.version_number,
  ...definitionJson(row.definition),
  ...resourceJson(row),
});

const versionJson = (row: MeterVersionRow) => ({
  id: row.id,
  meter_id: row.meter_id,
  version_number: row.version_number,
  ...definitionJson(row.definition),
  created_at: formatInstant(row.created_at),
});

type Named = { readonly code: string; readonly name: string; readonly definition: MeterDefinition };

/** All faults are listed, of the names and of the definition. */
const meterFromJson = (json: JsonObject): Parsed<Named> => {
  const faults: Fault[] = [];
  const code = readNewCode(json, '', faults);
  const name = readText(json, 'name', '', nameRule, faults);
  const { code: _code, name: _name, ...rest } = json;
  const definition = meterDefinitionFromJson(rest);
  faults.push(...misreadPathFaults(rest));
  if (!definition.ok) return { ok: false, faults: [...faults, ...definition.faults] };
  return code === undefined || name === undefined || faults.length > 0
    ? { ok: false, faults }
    : { ok: true, value: { code, name, definition: definition.value } };
};

/** What the definition becomes with the fields of a patch: one that is left out stays. Null where it stays as it is. */
const patchedDefinition = (row: MeterRow, patch: JsonObject): MeterDefinition | null => {
  const { name: _name, metadata: _metadata, ...fields } = patch;
  const stored: Readonly<Record<string, unknown>> = row.definition;
  const kept = Object.fromEntries(definitionFields.map((field) => [field, ownValue(stored, field)]));
  const parsed = meterDefinitionFromJson({ ...kept, ...fields });
  // Of what the patch gives: what stays may be from before these paths were refused.
  refuseFaults([...(parsed.ok ? [] : parsed.faults), ...misreadPathFaults(fields)]);
  assert(parsed.ok);
  const before = meterDefinitionToJson(storedDefinition(row.definition, row.meter_version_id));
  return isDeepStrictEqual(meterDefinitionToJson(parsed.value), before) ? null : parsed.value;
};

const tag = 'Meters';

const readingRoutes = ({ get, list }: Routes, { catalog }: MeterPorts): void => {
  list(
    {
      url: '/v1/meters',
      operation: 'listMeters',
      tag,
      summary: 'List meters',
      scope: 'read:meters',
      list: catalog.meterList,
      answers: { 200: listSchema(Meter) },
      failures: [],
    },
    async ({ db, query }) => listJson(query, await catalog.meters(db, query), meterJson),
  );
  get(
    {
      url: '/v1/meters/:id',
      operation: 'getMeter',
      tag,
      summary: 'Read a meter by id or code',
      scope: 'read:meters',
      params: IdParam,
      answers: { 200: Meter },
      failures: ['METER_NOT_FOUND'],
    },
    async ({ db, params }) => meterJson(found(await catalog.meter(db, params.id), 'METER_NOT_FOUND')),
  );
  list(
    {
      url: '/v1/meters/:id/versions',
      operation: 'listMeterVersions',
      tag,
      summary: 'List what a meter measured and measures',
      scope: 'read:meters',
      params: IdParam,
      list: catalog.meterVersionList,
      answers: { 200: listSchema(MeterVersion) },
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
      answers: { 201: Meter },
      failures: ['METER_ALREADY_EXISTS'],
    },
    async ({ db, body, nowMs }) => {
      const { metadata = {}, ...json } = body;
      const parsed = meterFromJson(json);
      if (!parsed.ok) throw new FailureError('VALIDATION_FAILED', undefined, parsed.faults);
      const row = found(
        await catalog.addMeter(db, { ...parsed.value, metadata }, new Date(nowMs)),
        'METER_ALREADY_EXISTS',
      );
      return created('meter', '/v1/meters', meterJson(row));
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
      params: IdParam,
      body: MeterPatch,
      documentedBody: MeterPatchDocument,
      answers: { 200: Meter },
      failures: ['METER_NOT_FOUND'],
    },
    async ({ db, params, body, nowMs, matchVersion }) => {
      const row = found(await catalog.lockMeter(db, params.id), 'METER_NOT_FOUND');
      matchVersion(row.version);
      const { name = row.name, metadata = row.metadata } = body;
      const next = { name, metadata, definition: patchedDefinition(row, body) };
      const changed = found(await catalog.changeMeter(db, row, next, new Date(nowMs)), 'METER_NOT_FOUND');
      return updated('meter', meterJson(row), meterJson(changed));
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
      params: IdParam,
      answers: { 204: NoContent },
      failures: ['METER_NOT_FOUND', 'METER_IN_USE'],
    },
    async ({ db, params, nowMs, matchVersion }) => {
      const row = found(await catalog.lockMeter(db, params.id), 'METER_NOT_FOUND');
      matchVersion(row.version);
      if (!(await catalog.endMeter(db, row.id, new Date(nowMs)))) throw new FailureError('METER_IN_USE');
      const change = { action: 'meter.deleted', objectType: 'meter', objectId: row.id, before: meterJson(row) };
      return { status: 204, body: undefined, changes: [change] };
    },
  );
};
