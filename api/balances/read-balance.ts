/**
 * What customers owe as of now: their open invoices, and what has begun and is on none, rated by the rules of the rater
 * and drawn up as the invoices that it would be. Nothing is written.
 *
 * What is written down to be billed, what is not yet, and what is issued are read in one moment of the database, so
 * that what is just being billed is in one of them, and in one alone.
 */
import { rememberedPeriods } from '#schemas/due-parts.ts';
import { FailureError } from '#schemas/failures.ts';
import type { Instant } from '#schemas/period.ts';
import type { LiveUsage } from '../../rater/live/live-usage.ts';
import { schedulesIn, type VersionRow } from '../../rater/run/billable-periods.ts';
import type { Payer } from '../../rater/run/payer-statements.ts';
import { previewedPartsMax } from '../invoices/preview-invoice.ts';
import type { Db } from '../route/define-route.ts';
import {
  type DrawUpPorts,
  drawUpInvoices,
  type InvoiceAhead,
  payersOf,
} from '../subscription-views/draw-up-invoices.ts';
import { type DueTogether, dueTogether } from '../subscription-views/due-together.ts';
import {
  partIdOf,
  type RatedPart,
  type RateUpcomingPorts,
  type ReadParts,
  readUpcoming,
  type UpcomingPart,
} from '../subscription-views/rate-upcoming.ts';
import type { CutSubscription, UpcomingReader } from '../subscription-views/upcoming.postgres.ts';
import { duePartOf } from '../subscription-views/upcoming-parts.ts';
import { aheadOf, waitingPart } from '../subscription-views/waiting-parts.ts';
import type { Subscription, SubscriptionStore } from '../subscriptions/subscriptions.postgres.ts';
import type { ReadWatermark } from '../usage/watermark.postgres.ts';
import type { BalanceReader, OwedInvoices, UnbilledPart } from './balances.postgres.ts';
import { openParts } from './open-parts.ts';

export type ReadBalancePorts = RateUpcomingPorts &
  DrawUpPorts & {
    readonly upcoming: UpcomingReader;
    readonly subscriptions: Pick<SubscriptionStore, 'subscriptionsById'>;
    readonly balances: BalanceReader;
    readonly liveUsage: LiveUsage;
    readonly readWatermark: ReadWatermark;
  };

export type Balance = {
  readonly watermark: bigint;
  readonly now: Instant;
  readonly owed: readonly OwedInvoices[];
  /** What has begun as the invoices that it would be; each part is in one. */
  readonly running: readonly InvoiceAhead[];
};

export type ReadTogether = <T>(read: (db: Db) => Promise<T>) => Promise<T>;

type Seen = {
  readonly subscriptions: readonly Subscription[];
  readonly cuts: ReadonlyMap<string, CutSubscription>;
  readonly unbilled: readonly UnbilledPart[];
  readonly oneTimeRows: CutSubscription['oneTimeRows'];
  readonly versions: readonly VersionRow[];
};

const see = async (
  { balances, subscriptions, upcoming }: ReadBalancePorts,
  db: Db,
  customerIds: readonly string[],
): Promise<Seen> => {
  const ids = await balances.billedSubscriptions(db, customerIds);
  const [found, unbilled] = await Promise.all([
    subscriptions.subscriptionsById(db, ids),
    balances.unbilled(db, customerIds, ids),
  ]);
  const versionIds = new Set(found.flatMap((one) => [...one.planNames.keys()]));
  const charged = unbilled.map(({ written: { item } }) => item);
  const [cuts, versions, oneTimeRows] = await Promise.all([
    upcoming.cutTimes(db, found),
    upcoming.versions(db, [...versionIds]),
    upcoming.oneTimeRows(db, charged),
  ]);
  return { subscriptions: found, cuts, unbilled, oneTimeRows, versions };
};

const partsOf = ({ subscriptions, cuts, unbilled, oneTimeRows, versions }: Seen, now: Instant): UpcomingPart[] => {
  const schedulesOf = schedulesIn(versions);
  const periodsIn = rememberedPeriods();
  const unbilledOf = Map.groupBy(unbilled, ({ subscriptionId }) => subscriptionId);
  return subscriptions.flatMap((subscription): UpcomingPart[] => {
    const cut = cuts.get(subscription.id);
    if (!cut) return [];
    const terms = { ...subscription, oneTimeCharges: cut.oneTimeCharges };
    const open = aheadOf(terms, schedulesOf, cut, openParts(subscription, schedulesOf, cut, now, periodsIn));
    const rows = { externalIds: cut.externalIds, oneTimeRows };
    const written = (unbilledOf.get(subscription.id) ?? []).flatMap((one): UpcomingPart[] => {
      if (one.isCarried) return [waitingPart(subscription, rows, one, schedulesOf)];
      const ahead = aheadOf(terms, schedulesOf, rows, [duePartOf(one, schedulesOf)]);
      return ahead.map((part) => ({ ...part, written: { payer: one.payer } }));
    });
    return [...open, ...written];
  });
};

/** What waits goes with what takes it up; what nothing does that has begun is by itself. */
const dueOf = (rated: readonly RatedPart[], payerOf: (part: RatedPart) => Payer): DueTogether[] => {
  const taken = new Set(dueTogether(rated, payerOf).flatMap(({ parts }) => parts.map(partIdOf)));
  const alone = rated.map((part): RatedPart => {
    if (!part.waits || taken.has(partIdOf(part))) return part;
    const { waits, ...rest } = part;
    return { ...rest, written: { payer: waits.payer } };
  });
  return dueTogether(alone, payerOf);
};

/** Of what one carries over and a later one has too, the later one. */
const lastWithEach = (invoices: readonly InvoiceAhead[]): InvoiceAhead[] => {
  const later = new Set<string>();
  return invoices
    .toReversed()
    .filter(({ parts }) => {
      const ids = parts.map(partIdOf);
      const isNew = ids.some((id) => !later.has(id));
      for (const id of ids) later.add(id);
      return isNew;
    })
    .toReversed();
};

const tooManyParts = (count: number): FailureError =>
  new FailureError('VALIDATION_FAILED', undefined, [
    {
      field: 'id',
      code: 'out_of_range',
      message: `pays for ${count} billing periods that are not billed, and at most ${previewedPartsMax} are rated while somebody waits`,
    },
  ]);

/** All of one moment, but usage. */
type Begun = {
  readonly owedBy: ReadonlyMap<string, readonly OwedInvoices[]>;
  readonly payerOf: (part: UpcomingPart) => Payer;
  /** By who pays for them. */
  readonly parts: ReadonlyMap<string, readonly UpcomingPart[]>;
  readonly ratedIds: readonly string[];
  readonly upcoming: ReadParts;
};

const readBegun =
  (ports: ReadBalancePorts, customerIds: readonly string[], now: Instant) =>
  async (db: Db): Promise<Begun> => {
    const [owed, seen] = await Promise.all([ports.balances.owed(db, customerIds, now), see(ports, db, customerIds)]);
    const begun = partsOf(seen, now);
    const payerOf = await payersOf(ports, db, begun);
    const parts = Map.groupBy(begun, (part) => payerOf(part).id);
    const ratedIds = customerIds.filter((id) => (parts.get(id)?.length ?? 0) <= previewedPartsMax);
    const toRate = ratedIds.flatMap((id) => parts.get(id) ?? []);
    const upcoming = await readUpcoming(ports, db, toRate, seen.versions);
    return { owedBy: Map.groupBy(owed, ({ customerId }) => customerId), payerOf, parts, ratedIds, upcoming };
  };

/**
 * Of customers of one hour, in their order; one who pays for too much has an error for itself. `readTogether` reads one
 * moment of the database; nothing is open while usage is measured.
 */
export const readBalances = async (
  ports: ReadBalancePorts,
  db: Db,
  readTogether: ReadTogether,
  customerIds: readonly string[],
  now: Instant,
): Promise<readonly (Balance | FailureError)[]> => {
  const { owedBy, payerOf, parts, ratedIds, upcoming } = await readTogether(readBegun(ports, customerIds, now));
  // Where nobody has used anything, too, an answer says how far usage is counted.
  const { watermark, quantities } = await ports.liveUsage(db.organizationId, upcoming.query, () =>
    ports.readWatermark(db),
  );
  const ratedOf = Map.groupBy(upcoming.rated(quantities), (part) => payerOf(part).id);
  const sets = ratedIds.map((id) => dueOf(ratedOf.get(id) ?? [], payerOf));
  const drawn = await readTogether((together) => drawUpInvoices(ports, together, sets, { watermark, now }));
  const runningOf = new Map(ratedIds.map((id, index) => [id, lastWithEach(drawn[index] ?? [])]));
  return customerIds.map((id) => {
    const running = runningOf.get(id);
    return running ? { watermark, now, owed: owedBy.get(id) ?? [], running } : tooManyParts(parts.get(id)?.length ?? 0);
  });
};
