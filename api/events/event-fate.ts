/**
 * What became of one event: what stood under its key and when, which meters count it, and in which invoice lines, or
 * why in none. Pure.
 */
import assert from 'node:assert/strict';
import { type EventPayload, keyDigest, replacementKey } from '#schemas/amendment.ts';
import type { Interval } from '#schemas/interval.ts';
import { defaultLateUsage, type LateUsagePolicy } from '#schemas/late-usage.ts';
import { isInterval, type MeasuredPeriod, type MeasuredStretch, measuredTime } from '#schemas/measured-time.ts';
import type { Meter } from '#schemas/meter.ts';
import { measuredNumber } from '#schemas/number-text.ts';
import { contains, type Instant } from '#schemas/period.ts';
import type { SubscriptionTerms } from '#schemas/subscription-terms.ts';
import { type FateReason, firstReason, toFateReason } from '#schemas/unbilled-reasons.ts';
import { measureEvent } from '../../rater/aggregate/measure-event.ts';
import type { EventVoid, KeyRow } from './events.clickhouse.ts';

/**
 * Events under one key: the original, and what amendments put in its place. It holds for watermarks from `from` on and
 * before `until`.
 */
export type EventVersion = EventPayload & {
  readonly amendmentId: string | undefined;
  readonly from: bigint;
  readonly until: bigint | undefined;
  readonly endedAs: 'void' | 'replaced' | undefined;
};

export type Twin = KeyRow & { readonly reason: 'twin' | 'conflict' | 'unchecked' };

/** An invoice that counts the usage of a period up to a watermark, with its lines of that. */
type CountingInvoice = {
  readonly invoiceId: string;
  readonly watermark: bigint;
  readonly lines: readonly CountingLine[];
};

type CountingLine = {
  readonly position: number;
  readonly charge: string;
  /** Of a line of a credit note: that, and the invoice that it is of. */
  readonly credit?: { readonly invoiceId: string; readonly creditNoteId: string };
};

/** What became of a delta. */
export type DeltaState = 'billed' | 'unchanged' | 'reported' | 'credited';

/** A billed period, with the invoice that bills it, and its deltas in the order of their watermarks. */
type KnownPeriod = MeasuredPeriod &
  CountingInvoice & {
    readonly deltas: readonly (CountingInvoice & { readonly state: DeltaState })[];
  };

/** What a plan version charges for usage, with its prices in the currency of a subscription. */
export type VersionFacts = {
  readonly lateUsage: LateUsagePolicy;
  readonly charges: readonly {
    readonly code: string;
    readonly meter: string | undefined;
    readonly interval: Interval;
    /** Of the event, where the price reads an amount from it. */
    readonly amountProperty?: string | undefined;
  }[];
  /** By code, in the versions that the plan version was made with. */
  readonly meters: ReadonlyMap<string, Meter>;
};

export type SubscriptionFacts = SubscriptionTerms & {
  readonly id: string;
  /** Its customer's names. */
  readonly names: readonly string[];
  /** Of its plans and add-ons, by the ids of their versions. */
  readonly versions: ReadonlyMap<string, VersionFacts>;
  readonly periods: readonly KnownPeriod[];
};

export type BillingFacts = {
  readonly customerNames: ReadonlySet<string>;
  readonly subscriptions: readonly SubscriptionFacts[];
};

type InvoiceLineName = {
  readonly invoiceId: string;
  /** Of the credit note, where there is one. */
  readonly linePosition?: number;
  /** Of a delta that is given back. */
  readonly creditNoteId?: string;
};

export type Billing = Partial<InvoiceLineName> & {
  /** Undefined where it is billed. */
  readonly reason: FateReason | undefined;
  readonly subscriptionId?: string;
  readonly charge?: string;
  readonly meter?: Meter;
  readonly value?: string | null;
  /** Of what is late: what becomes of it. */
  readonly lateUsage?: LateUsagePolicy;
  /** Of what is billed and was amended since: what takes it back. */
  readonly takenBack?: InvoiceLineName;
};

const isOf = (digest: string, sequence: bigint) => (one: EventVoid) =>
  one.digest === digest && (one.rowSequence === 0n || one.rowSequence === sequence);

/**
 * Rows of the key by what they are: those that stood, and twins of them. `voids` are in the order in which they came to
 * hold.
 */
export const sortRows = (rows: readonly KeyRow[], voids: readonly EventVoid[], watermark: bigint) => {
  const originals: KeyRow[] = [];
  const twins: Twin[] = [];
  for (const row of rows) {
    const own = voids.find((one) => one.digest === row.digest && one.rowSequence === row.sequence);
    if (own) twins.push({ ...row, reason: own.reason === 'conflict' ? 'conflict' : 'twin' });
    else if (row.sequence > watermark && originals.length > 0) twins.push({ ...row, reason: 'unchecked' });
    else originals.push(row);
  }
  return { originals, twins };
};

const withEnd = (
  version: Omit<EventVersion, 'until' | 'endedAs'>,
  digest: string,
  voids: readonly EventVoid[],
): EventVersion => {
  const end = voids.find(isOf(digest, version.from));
  return { ...version, until: end?.voidSequence, endedAs: end && (end.reason === 'replaced' ? 'replaced' : 'void') };
};

export type AppliedAmendment = { readonly id: string; readonly sequence: bigint; readonly added: EventPayload };

/** What stood under the key, in order. */
export const versionsOf = (
  organizationId: string,
  key: string,
  originals: readonly (KeyRow & EventPayload)[],
  amendments: readonly AppliedAmendment[],
  voids: readonly EventVoid[],
): EventVersion[] => [
  ...originals.map(({ digest, event, customer, occurredAtMs, properties, sequence }) =>
    withEnd({ event, customer, occurredAtMs, properties, amendmentId: undefined, from: sequence }, digest, voids),
  ),
  ...amendments.map(({ id, sequence, added }) =>
    withEnd(
      { ...added, amendmentId: id, from: sequence },
      keyDigest(organizationId, replacementKey(key, id)).toString('hex'),
      voids,
    ),
  ),
];

const plainEvent = ({ event, properties }: EventPayload) => ({ event, properties: new Map(properties) });

/** The meters that count the event, with what each reads from it. */
export const measurementsOf = (
  version: EventPayload,
  meters: readonly Meter[],
): { meter: Meter; value: string | null }[] =>
  meters.flatMap((meter) => {
    const measured = measureEvent(meter, plainEvent(version));
    return measured.counted ? [{ meter, value: measured.value }] : [];
  });

type Holds = Parameters<typeof firstReason>[0];

/** An amendment's end of the version goes before whatever else is the matter with it. */
const reasonOf = ({ endedAs }: EventVersion, holds: Holds): FateReason => {
  const reason = firstReason({ ...holds, voided: endedAs === 'void', replaced: endedAs === 'replaced' });
  assert(reason !== undefined, 'an event is neither billed nor unbilled for a reason');
  return toFateReason(reason);
};

/** Whether the price reads an amount from the event and finds none that can be used. */
const lacksAmount = ({ properties }: EventPayload, amountProperty: string | undefined): boolean =>
  amountProperty !== undefined && measuredNumber(new Map(properties).get(amountProperty) ?? '') === undefined;

const lineOn = ({ invoiceId, lines }: CountingInvoice, charge: string): InvoiceLineName => {
  const line = lines.find((one) => one.charge === charge);
  // What is given back of a charge may be of another one.
  const { credit } = line ?? lines[0] ?? {};
  return { invoiceId, ...(line && { linePosition: line.position }), ...credit };
};

/** Of a stretch: `billed` is the billed period in which the event lies, if it lies in one. */
const chargeBilling = (
  version: EventVersion,
  of: { subscriptionId: string; charge: string; meter: Meter; value: string | null },
  isWithoutAmount: boolean,
  lateUsage: LateUsagePolicy,
  { billed, isWaived }: Pick<MeasuredStretch<KnownPeriod>, 'billed' | 'isWaived'>,
): Billing => {
  const lacks = { unmeasured: of.value === null, no_amount: isWithoutAmount };
  if (!billed) return { ...of, reason: reasonOf(version, { ...lacks, waived: isWaived, period_open: true }) };
  const { from, until } = version;
  const invoices = [billed, ...billed.deltas.filter(({ state }) => state !== 'reported')];
  const isUsable = !lacks.unmeasured && !lacks.no_amount;
  const counting = isUsable && invoices.find(({ watermark: at }) => from <= at && (until === undefined || until > at));
  if (!counting) {
    const reason = reasonOf(version, { ...lacks, late: true });
    // One that was taken away before the invoice has nothing to do with it.
    const isBefore = until !== undefined && until <= billed.watermark;
    return {
      ...of,
      reason,
      ...(isBefore ? {} : { invoiceId: billed.invoiceId }),
      ...(reason === 'late' && { lateUsage }),
    };
  }
  const back = until === undefined ? undefined : invoices.find(({ watermark }) => watermark >= until);
  return {
    ...of,
    reason: undefined,
    ...lineOn(counting, of.charge),
    ...(back && { takenBack: lineOn(back, of.charge) }),
  };
};

const meteredIntervals = ({ versions }: SubscriptionFacts, planVersionId: string): Interval[] => {
  const charges = versions.get(planVersionId)?.charges ?? [];
  const metered = charges.filter(({ meter }) => meter !== undefined).map(({ interval }) => interval);
  return [...new Map(metered.map((one) => [`${one.count} ${one.unit}`, one])).values()];
};

/** What of a subscription holds an instant. */
const coveringAt = (subscription: SubscriptionFacts, instant: Instant) => {
  const intervalsOf = (planVersionId: string) => meteredIntervals(subscription, planVersionId);
  const { measured, free } = measuredTime(subscription, intervalsOf, subscription.periods);
  return {
    measured: measured.filter(({ span }) => contains(span, instant)),
    free: free.find(({ span }) => contains(span, instant)),
  };
};

/** One entry for each charge of a stretch that counts the version. */
const chargedIn = (
  version: EventVersion,
  { id, versions }: SubscriptionFacts,
  stretch: MeasuredStretch<KnownPeriod>,
): Billing[] => {
  const { planVersionId, interval } = stretch;
  const facts = versions.get(planVersionId) ?? { charges: [], meters: new Map<string, Meter>(), lateUsage: undefined };
  const { charges, meters, lateUsage = defaultLateUsage } = facts;
  return charges.flatMap((charge) => {
    const meter = charge.meter === undefined ? undefined : meters.get(charge.meter);
    const measured = meter && measureEvent(meter, plainEvent(version));
    if (!meter || !measured?.counted || !isInterval(charge.interval, interval)) return [];
    const of = { subscriptionId: id, charge: charge.code, meter, value: measured.value };
    return [chargeBilling(version, of, lacksAmount(version, charge.amountProperty), lateUsage, stretch)];
  });
};

/** One entry for each charge that counts the version, or one that says why there is none. */
export const billingOf = (version: EventVersion, { customerNames, subscriptions }: BillingFacts): Billing[] => {
  if (!customerNames.has(version.customer)) return [{ reason: reasonOf(version, { no_customer: true }) }];
  const covering = subscriptions
    .filter(({ names }) => names.includes(version.customer))
    .map((subscription) => ({ subscription, ...coveringAt(subscription, version.occurredAtMs) }))
    .filter(({ measured, free }) => measured.length > 0 || free);
  if (covering.length === 0) return [{ reason: reasonOf(version, { no_subscription: true }) }];
  const charged = covering.filter(({ measured }) => measured.length > 0);
  const entries = charged.flatMap(({ subscription, measured }) =>
    measured.flatMap((stretch) => chargedIn(version, subscription, stretch)),
  );
  if (entries.length > 0) return entries;
  const uncharged = charged.length > 0 ? charged : covering;
  return uncharged.map(({ subscription, free }) => ({
    reason: reasonOf(version, charged.length === 0 && free ? { [free.reason]: true } : { no_charge: true }),
    subscriptionId: subscription.id,
  }));
};
