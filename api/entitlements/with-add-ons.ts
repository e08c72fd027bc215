/** What a plan and the add-ons beside it entitle to together. Pure. */
import type { Entitlement } from '#schemas/entitlement.ts';
import { addQuantities, multiplyQuantity, type Quantity } from '#schemas/quantity.ts';
import type { MeterVersion } from '#schemas/stored-meter.ts';

/** With the feature that the entitlement names, and the version of the meter that a metered one is measured by. */
export type Entitled = {
  readonly name: string;
  readonly entitlement: Entitlement;
  readonly meter: MeterVersion | null;
};

/** Null is unlimited. */
const times = (limit: Quantity | null, count: number): Quantity | null =>
  limit === null ? null : multiplyQuantity(limit, count);
const plus = (a: Quantity | null, b: Quantity | null): Quantity | null =>
  a === null || b === null ? null : addQuantities(a, b);

/** Of an add-on that is taken so many times. */
const taken = (entitlement: Entitlement, count: number): Entitlement => {
  switch (entitlement.type) {
    case 'switch':
      return entitlement;
    case 'limit':
      return { ...entitlement, limit: times(entitlement.limit, count) };
    case 'metered':
      return { ...entitlement, allowance: times(entitlement.allowance, count) };
  }
};

/** When an allowance counts anew, and what becomes of usage beyond it, is as the first has it. */
const both = (first: Entitlement, more: Entitlement): Entitlement => {
  if (first.type === 'switch' && more.type === 'switch') return { ...first, enabled: first.enabled || more.enabled };
  if (first.type === 'limit' && more.type === 'limit') return { ...first, limit: plus(first.limit, more.limit) };
  if (first.type === 'metered' && more.type === 'metered')
    return { ...first, allowance: plus(first.allowance, more.allowance) };
  return first;
};

/** By the codes of their features. */
export const entitledBeside = (
  ofPlan: readonly Entitled[],
  addOns: readonly { readonly items: readonly Entitled[]; readonly quantity: number }[],
): Entitled[] => {
  const byFeature = new Map(ofPlan.map((item) => [item.entitlement.feature, item]));
  for (const { items, quantity } of addOns)
    for (const item of items) {
      const more = taken(item.entitlement, quantity);
      const first = byFeature.get(more.feature);
      byFeature.set(
        more.feature,
        first ? { ...first, entitlement: both(first.entitlement, more) } : { ...item, entitlement: more },
      );
    }
  return [...byFeature.values()].toSorted((a, b) => (a.entitlement.feature < b.entitlement.feature ? -1 : 1));
};
