/**
 * What a customer owes as of now: its open invoices, and what has begun and is on none, rated by the rules of the rater
 * and drawn up as the invoices that it would be. Nothing is written.
 *
 * What is written down to be billed, what is not yet, and what is issued are read in one moment of the database, so
 * that what is just being billed is in one of them, and in one alone.
 */
import { rememberedPeriods } from '#schemas/due-parts.ts';
import { FailureError } from '#schemas/failures.ts';
import type { Instant } from '#schemas/period.ts';
import { schedulesIn, type VersionRow } from '../../rater/run/billable-periods.ts';
import type { Payer } from '../../rater/run/payer-statements.ts';
import type { Payer as CustomerPaying } from '../customers/customers.postgres.ts';
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
  rateUpcoming,
  type UpcomingPart,
} from '../subscription-views/rate-upcoming.ts';
import type { CutSubscription, UpcomingReader } from '../subscription-views/upcoming.postgres.ts';
import { duePartOf } from '../subscription-views/upcoming-parts.ts';
import { aheadOf, waitingPart } from '../subscription-views/waiting-parts.ts';
import type { Subscription, SubscriptionStore } from '../subscriptions/subscriptions.postgres.ts';
import type { ReadUsage } from '../usage/usage.clickhouse.ts';
import type { ReadWatermark } from '../usage/watermark.postgres.ts';
import type { BalanceReader, OwedInvoices, UnbilledPart } from './balances.postgres.ts';
import { openParts } from './open-parts.ts';

export type ReadBalancePorts = RateUpcomingPorts &
  DrawUpPorts & {
    readonly upcoming: UpcomingReader;
    readonly subscriptions: Pick<SubscriptionStore, 'subscriptionsById'>;
    readonly balances: BalanceReader;
    readonly readUsage: ReadUsage;
    readonly readWatermark: ReadWatermark;
  };

export type Balance = {
  readonly watermark: bigint;
  readonly now: Instant;
  readonly owed: readonly OwedInvoices[];
  /** What has begun as the invoices that it would be; each part is in one. */
  readonly running: readonly InvoiceAhead[];
};

type Seen = {
  readonly subscriptions: readonly Subscription[];
  readonly cuts: ReadonlyMap<string, CutSubscription>;
  readonly unbilled: readonly UnbilledPart[];
  readonly oneTimeRows: CutSubscription['oneTimeRows'];
  readonly versions: readonly VersionRow[];
  readonly owed: readonly OwedInvoices[];
};

const see =
  ({ balances, subscriptions, upcoming }: ReadBalancePorts, customerId: string, now: Instant) =>
  async (db: Db): Promise<Seen> => {
    const ids = await balances.billedSubscriptions(db, customerId);
    const [found, unbilled, owed] = await Promise.all([
      subscriptions.subscriptionsById(db, ids),
      balances.unbilled(db, customerId, ids),
      balances.owed(db, customerId, now),
    ]);
    const versionIds = new Set(found.flatMap((one) => [...one.planNames.keys()]));
    const charged = unbilled.map(({ written: { item } }) => item);
    const [cuts, versions, oneTimeRows] = await Promise.all([
      upcoming.cutTimes(db, found),
      upcoming.versions(db, [...versionIds]),
      upcoming.oneTimeRows(db, charged),
    ]);
    return { subscriptions: found, cuts, unbilled, oneTimeRows, versions, owed };
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

/** `readTogether` reads one moment of the database. */
export const readBalance = async (
  ports: ReadBalancePorts,
  db: Db,
  readTogether: <T>(read: (db: Db) => Promise<T>) => Promise<T>,
  customer: Pick<CustomerPaying, 'id' | 'clock'>,
  hourMs: Instant,
): Promise<Balance> => {
  const now = customer.clock?.now ?? hourMs;
  const watermark = await ports.readWatermark(db);
  const seen = await readTogether(see(ports, customer.id, now));
  const begun = partsOf(seen, now);
  if (begun.length > previewedPartsMax)
    throw new FailureError('VALIDATION_FAILED', undefined, [
      {
        field: 'id',
        code: 'out_of_range',
        message: `pays for ${begun.length} billing periods that are not billed, and at most ${previewedPartsMax} are rated while somebody waits`,
      },
    ]);
  const payers = await payersOf(ports, db, begun);
  const rated = await rateUpcoming(
    ports,
    db,
    begun.filter((part) => payers(part).id === customer.id),
    seen.versions,
    (query) => ports.readUsage.measured({ ...query, tenant: db.organizationId, watermark }),
  );
  const [invoices = []] = await drawUpInvoices(ports, db, [dueOf(rated, payers)], { watermark, now });
  return { watermark, now, owed: seen.owed, running: lastWithEach(invoices) };
};
