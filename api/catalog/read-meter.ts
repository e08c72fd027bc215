/** What a caller's JSON says of a meter: a new one, or what becomes of one that is there. Pure. */
import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import { nameRule } from '#schemas/display-name.ts';
import { FailureError, type Fault } from '#schemas/failures.ts';
import { type JsonObject, ownValue, readText } from '#schemas/fault.ts';
import {
  definitionFields,
  type MeterDefinition,
  meterDefinitionFromJson,
  meterDefinitionToJson,
} from '#schemas/meter.ts';
import { misreadPathFaults } from '#schemas/misread-paths.ts';
import { readNewCode } from '#schemas/names.ts';
import { type StoredMeter, storedDefinition } from '#schemas/stored-meter.ts';
import { refuseFaults } from '../route/resource-fields.ts';

type Named = { readonly code: string; readonly name: string; readonly definition: MeterDefinition };

/** Throws `VALIDATION_FAILED` with all faults, of the names and of the definition. */
export const newMeterFromJson = (json: JsonObject): Named => {
  const faults: Fault[] = [];
  const code = readNewCode(json, '', faults);
  const name = readText(json, 'name', '', nameRule, faults);
  const { code: _code, name: _name, ...rest } = json;
  const definition = meterDefinitionFromJson(rest);
  faults.push(...misreadPathFaults(rest), ...(definition.ok ? [] : definition.faults));
  if (code === undefined || name === undefined || !definition.ok || faults.length > 0)
    throw new FailureError('VALIDATION_FAILED', undefined, faults);
  return { code, name, definition: definition.value };
};

/**
 * What the definition becomes with the fields of a patch: one that is left out stays. Null where it stays as it is.
 * Throws `VALIDATION_FAILED`.
 */
export const patchedDefinition = (meter: StoredMeter, patch: JsonObject): MeterDefinition | null => {
  const { name: _name, metadata: _metadata, ...fields } = patch;
  const before = meterDefinitionToJson(storedDefinition(meter));
  const kept = Object.fromEntries(definitionFields.map((field) => [field, ownValue(before, field)]));
  const parsed = meterDefinitionFromJson({ ...kept, ...fields });
  // Of what the patch gives: what stays may be from before these paths were refused.
  refuseFaults([...(parsed.ok ? [] : parsed.faults), ...misreadPathFaults(fields)]);
  assert(parsed.ok);
  return isDeepStrictEqual(meterDefinitionToJson(parsed.value), before) ? null : parsed.value;
};
