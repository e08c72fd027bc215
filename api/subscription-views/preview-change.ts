/**
 * What a change of a subscription would charge and credit, before it is made, and the invoices on which that would be:
 * by the code of the rater and of the invoicer, with and without the change. Usage is no part of it. Nothing of it is
 * written.
 */
import type { Currency } from '#schemas/currency.ts';
import { type DuePart, dueParts, rememberedPeriods, type SchedulesOf } from '#schemas/due-parts.ts';
import { formatInstant } from '#schemas/instant.ts';
import { formatMinorUnits } from '#schemas/money.ts';
import type { Instant } from '#schemas/period.ts';
import type { SubscriptionTerms } from '#schemas/subscription-terms.ts';
import { schedulesIn, type VersionRow } from '../../rater/run/billable-periods.ts';
import type { CatalogStore } from '../catalog/catalog.postgres.ts';
import type { Db } from '../route/define-route.ts';
import { found } from '../route/resource-fields.ts';
import { carryToJson, totalsToJson } from '../route/totals-json.ts';
import {
  changedLedger,
  changedParts,
  type PreviewedLine,
  partKey,
  previewedLinesJson,
  versionsOf,
} from '../subscriptions/changed-parts.ts';
import type { LedgerChanges } from '../subscriptions/subscription-changes.postgres.ts';
import type { Subscription } from '../subscriptions/subscriptions.postgres.ts';
import { type DrawUpPorts, drawUpInvoices, type InvoiceAhead, partsAsDrawn, payersOf } from './draw-up-invoices.ts';
import { dueTogether } from './due-together.ts';
import { type RatedPart, type RateUpcomingPorts, rateUpcoming, type UpcomingPart } from './rate-upcoming.ts';
import type { CutSubscription, UpcomingReader } from './upcoming.postgres.ts';
import { unknownJson } from './upcoming-json.ts';
import { cutAfter, type UpcomingSubscription } from './upcoming-parts.ts';
import { aheadOf, waitingParts } from './waiting-parts.ts';

export type PreviewChangePorts = RateUpcomingPorts &
  DrawUpPorts & {
    readonly upcoming: UpcomingReader;
    readonly catalog: Pick<CatalogStore, 'planNames'>;
  };

/** Up to the last of the invoices; of more none is drawn up while somebody waits. */
const drawnPartsMax = 2_000;

type Facts = {
  readonly versions: readonly VersionRow[];
  readonly cut: CutSubscription;
  readonly schedulesOf: SchedulesOf;
  /** What was carried over before. */
  readonly waiting: readonly UpcomingPart[];
  readonly now: Instant;
};

/** A subscription with the change or without it, and what of it is of concern. */
type Side = {
  readonly subscription: UpcomingSubscription & SubscriptionTerms;
  /** What is charged on this side alone. */
  readonly own: readonly DuePart[];
  /** All that falls due up to the last of it on either side; undefined where that is too much. */
  readonly ahead: readonly DuePart[] | undefined;
};

type PreviewedSide = {
  readonly lines: readonly PreviewedLine[];
  readonly invoices: readonly InvoiceAhead[] | undefined;
  readonly failed: readonly RatedPart[];
};

const previewSide = async (
  ports: PreviewChangePorts,
  db: Db,
  { subscription, own, ahead }: Side,
  dueAts: ReadonlySet<Instant>,
  { versions, cut, schedulesOf, waiting, now }: Facts,
): Promise<PreviewedSide> => {
  const terms = { ...subscription, oneTimeCharges: cut.oneTimeCharges };
  const parts = aheadOf(terms, schedulesOf, cut, ahead ?? own);
  const rated = await rateUpcoming(ports, db, [...parts, ...waiting], versions);
  const ownKeys = new Set(own.map(partKey));
  const linesOf = (all: readonly RatedPart[]) =>
    all
      .filter(({ part }) => ownKeys.has(partKey(part)))
      .flatMap(({ part, known }) => known.map((line) => ({ part, line })));
  const shown = ({ part }: RatedPart): boolean => dueAts.has(part.dueAt);
  const failed = rated.filter((one) => one.failure !== undefined && shown(one));
  if (!ahead) return { lines: linesOf(rated), invoices: undefined, failed };
  const payerOf = await payersOf(ports, db, rated);
  // What an earlier invoice uses up of a discount is missing in these, and what it carries over is in them.
  const [drawn = []] = await drawUpInvoices(ports, db, [dueTogether(rated, payerOf)], { watermark: 0n, now });
  const invoices = drawn.filter(({ dueAt }) => dueAts.has(dueAt));
  return { lines: linesOf(partsAsDrawn(rated, drawn)), invoices, failed };
};

const sideJson = ({ lines, invoices }: PreviewedSide, { planNames, currency }: UpcomingSubscription) => ({
  ...previewedLinesJson(lines, planNames, currency as Currency),
  invoices:
    invoices?.map((ahead) => ({
      due_at: formatInstant(ahead.dueAt),
      lines: previewedLinesJson(
        ahead.parts.flatMap(({ part, known }) => known.map((line) => ({ part, line }))),
        planNames,
        ahead.content.currency,
      ).lines,
      subtotal: formatMinorUnits(ahead.content.subtotal, ahead.content.currency),
      ...totalsToJson(ahead.content, ahead.content.currency),
      ...carryToJson(ahead, ahead.content.currency),
    })) ?? null,
});

export const previewChange = async (
  ports: PreviewChangePorts,
  db: Db,
  before: Subscription,
  decided: LedgerChanges,
  now: Instant,
) => {
  const ids = versionsOf(before, decided);
  const versions = await ports.upcoming.versions(db, ids);
  const cut = found((await ports.upcoming.cutTimes(db, [before])).get(before.id), 'SUBSCRIPTION_NOT_FOUND');
  const planNames = await ports.catalog.planNames(db, ids);
  const schedulesOf = schedulesIn(versions);
  const schedules = new Map(ids.map((id) => [id, schedulesOf(id)]));
  const after = { ...before, planNames, changes: changedLedger(before, decided) };
  const effectiveAt = Math.min(...decided.added.map((change) => change.effectiveAt));
  const { charged, insteadOf } = changedParts(before, after, effectiveAt, schedules, cut.written);
  const dueAts = new Set([...charged, ...insteadOf].map(({ dueAt }) => dueAt));
  const { oneTimeCharges, written } = cut;
  const time = {
    start: Math.min(cutAfter(before, cut.cutUntil), effectiveAt - 1),
    end: Math.max(effectiveAt, ...dueAts),
  };
  const [aheadOfBefore, ahead] = [before, after].map((terms) => {
    const parts = dueParts({ ...terms, oneTimeCharges }, schedulesOf, written, time, rememberedPeriods());
    return parts.length > drawnPartsMax ? undefined : parts;
  });
  const waiting = await waitingParts(ports.upcoming, db, [before], new Map([[before.id, cut]]), schedulesOf);
  const facts = { versions, cut, schedulesOf, waiting, now };
  const changed = await previewSide(ports, db, { subscription: after, own: charged, ahead }, dueAts, facts);
  const unchanged = { subscription: before, own: insteadOf, ahead: aheadOfBefore };
  const without = await previewSide(ports, db, unchanged, dueAts, facts);
  return {
    effective_at: formatInstant(effectiveAt),
    currency: before.currency,
    ...sideJson(changed, after),
    instead_of: sideJson(without, after),
    unknown: unknownJson([...changed.failed, ...without.failed].map((one) => ({ ...one, subscription: after }))),
  };
};
