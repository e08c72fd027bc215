/** What a cell of a matrix may cost: the models that price one quantity, and nothing else of usage. */
import type { TSchema } from 'typebox';
import type { Fault, JsonObject } from '#schemas/fault.ts';
import type { ChangeAmount, SchemaPrefix } from '#schemas/price/field.ts';
import { graduated } from '#schemas/price/graduated.ts';
import type { PriceOf } from '#schemas/price/model.ts';
import { packagePrice } from '#schemas/price/package.ts';
import { perUnit } from '#schemas/price/per-unit.ts';
import { registryOf } from '#schemas/price/registry.ts';
import { tieredFlat } from '#schemas/price/tiered-flat.ts';
import { volume } from '#schemas/price/volume.ts';

const models = [perUnit, graduated, volume, packagePrice, tieredFlat] as const;
export type CellPrice = PriceOf<(typeof models)[number]>;

const registry = registryOf(models);

export const readCellPrice = (json: unknown, field: string, faults: Fault[]): CellPrice | undefined =>
  registry.read(json, field, faults);

export const cellPriceToJson = (price: CellPrice): JsonObject => registry.modelOf(price).toJson(price);

export const mapCellAmounts = (price: CellPrice, field: string, change: ChangeAmount): CellPrice =>
  registry.mapAmounts(price, field, change);

export const cellPriceSchema = (prefix: SchemaPrefix): TSchema =>
  registry.schema(prefix, 'CellPrice', ({ metered }) => metered);
