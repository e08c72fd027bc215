/** What the entitlements of several subscriptions come to for their customer. Pure. */
import { addQuantities, maxQuantity, type Quantity, zeroQuantity } from '#schemas/quantity.ts';
import type { EntitledSubscription } from './entitled.postgres.ts';
import { leftOf, type Metered } from './measure-use.ts';
import type { Entitled } from './with-add-ons.ts';

export type InAll = { readonly feature: string; readonly name: string } & (
  | { readonly type: 'switch'; readonly enabled: boolean }
  | { readonly type: 'limit'; readonly limit: Quantity | null }
  | {
      readonly type: 'metered';
      readonly allowance: Quantity | null;
      readonly used: Quantity | null;
      readonly left: Quantity | null;
      readonly shares: readonly Metered[];
    }
);

/** Null is unlimited, and so more than any. */
const largest = (limits: readonly (Quantity | null)[]): Quantity | null =>
  limits.reduce((a, b) => (a === null || b === null ? null : maxQuantity(a, b)), zeroQuantity);
const sum = (limits: readonly (Quantity | null)[]): Quantity | null =>
  limits.reduce((a, b) => (a === null || b === null ? null : addQuantities(a, b)), zeroQuantity);

/** Each subscription counts all usage of the customer: where they count the same of it, that is the figure. */
const usedInAll = (shares: readonly Metered[]): Quantity | null => {
  const [first, ...others] = shares;
  const isSame = ({ meter, period: { start, end } }: Metered) =>
    meter.versionId === first?.meter.versionId && start === first.period.start && end === first.period.end;
  return first && others.every(isSame) ? first.used : null;
};

const inAll = (feature: string, items: readonly Entitled[], metered: readonly Metered[]): InAll[] => {
  const entitlements = items.map(({ entitlement }) => entitlement);
  const [first] = items;
  if (!first) return [];
  const { name } = first;
  switch (first.entitlement.type) {
    case 'switch': {
      const enabled = entitlements.some((one) => one.type === 'switch' && one.enabled);
      return [{ feature, name, type: 'switch', enabled }];
    }
    case 'limit': {
      const limit = largest(entitlements.flatMap((one) => (one.type === 'limit' ? [one.limit] : [])));
      return [{ feature, name, type: 'limit', limit }];
    }
    case 'metered': {
      const shares = metered.filter(({ entitlement }) => entitlement.feature === feature);
      const allowance = sum(shares.map((one) => one.entitlement.allowance));
      const used = usedInAll(shares);
      const left = used === null ? null : leftOf(allowance, used);
      return [{ feature, name, type: 'metered', allowance, used, left, shares }];
    }
  }
};

/** By the codes of the features. */
export const entitledInAll = (
  subscriptions: readonly EntitledSubscription[],
  metered: readonly Metered[],
): readonly InAll[] =>
  [
    ...Map.groupBy(
      subscriptions.flatMap(({ items }) => items),
      ({ entitlement }) => entitlement.feature,
    ),
  ]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([feature, items]) => inAll(feature, items, metered));
