/**
 * The price models, one line each. What a model is stands in its file: its fields with their JSON, schema and reader.
 * How it prices stands under the same name in `rater/price`. Negative prices are refused in this version: what a
 * customer gets back is a credit, which has its own document.
 */
import { type TSchema, Type } from 'typebox';
import type { Fault, JsonObject, Parsed } from '#schemas/fault.ts';
import { costBook } from '#schemas/price/cost-book.ts';
import { dynamic } from '#schemas/price/dynamic.ts';
import type { ChangeAmount, SchemaPrefix } from '#schemas/price/field.ts';
import { flat } from '#schemas/price/flat.ts';
import { graduated } from '#schemas/price/graduated.ts';
import { graduatedPercentage } from '#schemas/price/graduated-percentage.ts';
import { matrix } from '#schemas/price/matrix.ts';
import type { PriceOf } from '#schemas/price/model.ts';
import { packagePrice } from '#schemas/price/package.ts';
import { perUnit } from '#schemas/price/per-unit.ts';
import { basisPoints, percentage } from '#schemas/price/percentage.ts';
import { registryOf } from '#schemas/price/registry.ts';
import { tieredFlat } from '#schemas/price/tiered-flat.ts';
import type { UsageParts } from '#schemas/price/usage-parts.ts';
import { volume } from '#schemas/price/volume.ts';

export const priceModels = [
  flat,
  perUnit,
  graduated,
  volume,
  packagePrice,
  tieredFlat,
  percentage,
  basisPoints,
  graduatedPercentage,
  dynamic,
  matrix,
  costBook,
] as const;

export type Price = PriceOf<(typeof priceModels)[number]>;
export type PriceModel = Price['model'];
/** A price of the model of that name. */
export type PriceNamed<Name extends PriceModel> = Extract<Price, { readonly model: Name }>;
export type PriceJson = JsonObject & { readonly model: PriceModel };

const registry = registryOf(priceModels);

/** For readers of a larger whole: adds faults to `faults`. A value that comes back with faults must not be used. */
export const readPrice = (json: unknown, field: string, faults: Fault[]): Price | undefined =>
  registry.read(json, field, faults);

/** All faults are listed, each under `field` (the path of the price in the request). */
export const priceFromJson = (json: unknown, field = 'price'): Parsed<Price> => {
  const faults: Fault[] = [];
  const value = readPrice(json, field, faults);
  return value && faults.length === 0 ? { ok: true, value } : { ok: false, faults };
};

/** `priceFromJson` reads it back. */
export const priceToJson = (price: Price): PriceJson => registry.modelOf(price).toJson(price) as PriceJson;

/** The model alone, for rules that depend on it and are checked even where the rest of the price is wrong. */
export const modelNamed = (json: unknown): (typeof priceModels)[number] | undefined => registry.modelNamed(json);

export const isMetered = (price: Price): boolean => registry.modelOf(price).metered;

export const usagePartsOf = (price: Price): UsageParts => registry.modelOf(price).partsOf(price);

/** Every amount of money in the price, replaced; `field` is its place. */
export const mapAmounts = (price: Price, field: string, change: ChangeAmount): Price =>
  registry.mapAmounts(price, field, change);

export const meteredPriceSchema = (prefix: SchemaPrefix): TSchema =>
  registry.schema(prefix, 'MeteredPrice', ({ metered }) => metered);

/** What a number of seats can be priced by: they are all alike, and are no events. */
export const seatModels = ['per_unit', 'graduated', 'volume', 'package', 'tiered_flat'] as const;

export const seatPriceSchema = (prefix: SchemaPrefix): TSchema =>
  registry.schema(prefix, 'SeatPrice', ({ name }) => seatModels.some((of) => of === name));

/** A price of any model, in requests (`New`) or answers. */
export const anyPriceSchema = (prefix: SchemaPrefix): TSchema =>
  Type.Union([flat.schema(prefix), meteredPriceSchema(prefix)], { title: `${prefix}Price` });
