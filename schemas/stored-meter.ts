/** Meters as the catalog keeps them: a code, and a version with its definition as JSON. */
import assert from 'node:assert/strict';
import { type Meter, type MeterDefinition, meterDefinitionFromJson } from '#schemas/meter.ts';

export type StoredMeter = {
  readonly code: string;
  readonly version_number: number;
  readonly meter_version_id: string;
  readonly definition: unknown;
};

/** Definitions were checked when they came; one that does not read now is damage. */
export const storedDefinition = (json: unknown, meterVersionId: string): MeterDefinition => {
  const parsed = meterDefinitionFromJson(json);
  assert(
    parsed.ok,
    `the meter version ${meterVersionId} can't be read: ${parsed.ok ? '' : JSON.stringify(parsed.faults)}`,
  );
  return parsed.value;
};

/** A meter in one of its versions, which an id names for good. */
export type MeterVersion = Meter & { readonly versionId: string };

export const meterOf = (stored: StoredMeter): MeterVersion => ({
  ...storedDefinition(stored.definition, stored.meter_version_id),
  code: stored.code,
  version: stored.version_number,
  versionId: stored.meter_version_id,
});
