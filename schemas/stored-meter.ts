/** Meters as the catalog keeps them: a code, and a version with its definition as JSON. */
import assert from 'node:assert/strict';
import { type Meter, type MeterDefinition, meterDefinitionFromJson } from '#schemas/meter.ts';

export type StoredMeter = {
  readonly code: string;
  readonly versionNumber: number;
  readonly versionId: string;
  readonly definition: unknown;
};

/** Definitions were checked when they came; one that does not read now is damage. */
export const storedDefinition = ({ definition, versionId }: StoredMeter): MeterDefinition => {
  const parsed = meterDefinitionFromJson(definition);
  assert(parsed.ok, `the meter version ${versionId} can't be read: ${parsed.ok ? '' : JSON.stringify(parsed.faults)}`);
  return parsed.value;
};

/** A meter in one of its versions, which an id names for good. */
export type MeterVersion = Meter & { readonly versionId: string };

export const meterOf = (stored: StoredMeter): MeterVersion => ({
  ...storedDefinition(stored),
  code: stored.code,
  version: stored.versionNumber,
  versionId: stored.versionId,
});
