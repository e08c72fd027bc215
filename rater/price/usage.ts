/** What was used of a charge in a billing period, as the price functions take it. */
import { type Quantity, zeroQuantity } from '#schemas/quantity.ts';

/** What was measured of a part of the events, and how many they were. */
export type Part = { readonly quantity: Quantity; readonly events: bigint };

/** Of what a price asks for beyond one quantity (`UsageParts`), by the names that `partNames` says. */
export type Parts = ReadonlyMap<string, Part>;

export const noParts: Parts = new Map();
const noPart: Part = Object.freeze({ quantity: zeroQuantity, events: 0n });
export const partOf = (parts: Parts, name: string): Part => parts.get(name) ?? noPart;
