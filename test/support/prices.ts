/** Prices as a test writes them: their JSON. */
import { type Price, priceFromJson } from '#schemas/price/price.ts';

export const priceOf = (json: unknown): Price => {
  const parsed = priceFromJson(json);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.faults));
  return parsed.value;
};
