/** Which invoices ahead would not be issued, and what they leave to later ones: by the code that issues. Pure. */
import type { Currency } from '#schemas/currency.ts';
import type { DraftInvoice } from '#schemas/invoice.ts';
import { type Amount, zeroAmount } from '#schemas/money.ts';
import type { Instant } from '#schemas/period.ts';
import { type Carryable, carryOn } from '../../invoicer/invoices/carry-over.ts';
import type { GroupedPeriod } from '../../invoicer/invoices/grouped-periods.ts';
import { timingOrder } from '../../invoicer/invoices/invoice-rows.ts';
import type { DueTogether } from './due-together.ts';
import { partIdOf, type RatedPart } from './rate-upcoming.ts';

/** What would be one invoice, with what earlier ones leave to it. */
export type AheadGroup = Carryable & {
  /** Among those of its set. */
  readonly place: number;
  readonly due: DueTogether;
  readonly minimum: Amount | undefined;
};

/** What becomes of it. */
export type DrawnGroup = {
  readonly group: AheadGroup;
  readonly content: DraftInvoice;
  readonly isCarriedOver: boolean;
};

/** As `carriedMax` has it in SQL. */
const carriedMsMax = 365 * 86_400_000;

/** The order of lines of an invoice, as `periodOrder` has it. */
const inOrderOf =
  (payerId: string) =>
  (a: RatedPart, b: RatedPart): number => {
    const keys = ({ subscription, part }: RatedPart) => [
      Number(subscription.customerId !== payerId),
      subscription.customerId,
      subscription.id,
      timingOrder.indexOf(part.timing),
      Number(part.item !== 'plan'),
      part.item,
      part.span.start,
      Number(part.timing === 'once' && part.isCounted),
      partIdOf({ subscription, part }),
    ];
    const [own, other] = [keys(a), keys(b)];
    const at = own.findIndex((key, index) => key !== other[index]);
    return at < 0 ? 0 : (own[at] as string | number) < (other[at] as string | number) ? -1 : 1;
  };

const periodOf = (rated: RatedPart): GroupedPeriod => ({
  billingPeriodId: partIdOf(rated),
  customerId: rated.subscription.customerId,
  subscriptionId: rated.subscription.id,
  planVersionId: rated.part.planVersionId,
  span: rated.part.span,
  ...(rated.waits && { carriedFrom: rated.waits.since }),
});

/** What waited for as long as anything does is billed. */
const mayCarry = ({ periods, due }: AheadGroup): boolean =>
  !due.isLast && periods.every(({ carriedFrom = due.dueAt }) => carriedFrom + carriedMsMax > due.dueAt);

const withoutTooOld = (group: AheadGroup): AheadGroup => {
  const { carry: _carry, ...without } = group;
  return mayCarry(group) ? group : without;
};

/** Undefined where there is none. */
export type MinimumOf = (payerId: string, currency: string) => Amount | undefined;

/** Of one set, in the order in which they fall due. What can't be rated is on none. */
export const groupsAhead = (set: readonly DueTogether[], minimumOf: MinimumOf): AheadGroup[] => {
  const ordered = [...Map.groupBy(set, ({ payerId }) => payerId)].flatMap(([payerId, own]) =>
    own.flatMap(({ parts }) => parts).toSorted(inOrderOf(payerId)),
  );
  const ranks = new Map(ordered.map((rated, rank) => [partIdOf(rated), rank]));
  const rankOf = ({ billingPeriodId }: GroupedPeriod): number => ranks.get(billingPeriodId) ?? 0;
  return set.map((due, place): AheadGroup => {
    const { payerId: customerId, billedWith, dueAt, parts } = due;
    const currency = (parts[0] as RatedPart).subscription.currency as Currency;
    const minimum = minimumOf(customerId, currency);
    const rated = parts.filter(({ failure }) => failure === undefined);
    const goesOn = parts.some((part) => part.goesOn);
    return withoutTooOld({
      place,
      due,
      minimum,
      parties: { customerId, currency },
      periods: rated.map(periodOf).toSorted((a, b) => rankOf(a) - rankOf(b)),
      creditIds: rated.filter(({ part }) => part.timing === 'credit').map(partIdOf),
      ...(minimum !== undefined && minimum > zeroAmount && { carry: { billedWith, minimum, dueAt, goesOn, ranks } }),
    });
  });
};

/** `draw` gives what each would be, with discounts and taxes, if all of them were issued one after the other. */
export const carryAhead = (
  set: readonly AheadGroup[],
  draw: (groups: readonly AheadGroup[]) => readonly DraftInvoice[],
): readonly DrawnGroup[] => {
  const carried: DrawnGroup[] = [];
  for (let groups = set; ; ) {
    const contents = draw(groups);
    const drawn = groups.map((group, index) => ({ group, content: contents[index] as DraftInvoice }));
    const weighed = new Map(
      drawn.map(({ group, content: { total, periods } }) => [
        group,
        { total, billingPeriodIds: periods.map(({ billingPeriodId }) => billingPeriodId) },
      ]),
    );
    const carriedOn = carryOn(groups, weighed);
    const left = new Set((carriedOn?.groups ?? []).map(({ place }) => place));
    const gone = drawn.filter(({ group }) => carriedOn !== undefined && !left.has(group.place));
    carried.push(...gone.map((one) => ({ ...one, isCarriedOver: true })));
    if (!carriedOn)
      return [...carried, ...drawn.map((one) => ({ ...one, isCarriedOver: false }))].toSorted(
        (a, b) => a.group.place - b.group.place,
      );
    groups = carriedOn.groups.map(withoutTooOld);
  }
};

export type PartsOf = (group: AheadGroup) => readonly RatedPart[];

/** Of the groups of a set: the parts of their periods, whichever group had them first. */
export const partsOfSet = (set: readonly DueTogether[]): PartsOf => {
  const parts = new Map(
    set.flatMap(({ parts: own }) => own.map((rated): [string, RatedPart] => [partIdOf(rated), rated])),
  );
  const at = (dueAt: Instant, rated: RatedPart): RatedPart => ({ ...rated, part: { ...rated.part, dueAt } });
  return ({ periods, due }) => [
    ...periods.flatMap(({ billingPeriodId }) => {
      const rated = parts.get(billingPeriodId);
      return rated ? [at(due.dueAt, rated)] : [];
    }),
    ...due.parts.filter(({ failure }) => failure !== undefined),
  ];
};
