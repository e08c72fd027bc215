/**
 * What a change of a subscription would charge and credit, before it is made, and the invoices on which that would be:
 * by the code of the rater and of the invoicer, with and without the change. Usage is no part of it. Nothing of it is
 * written.
 */
import type { Currency } from '#schemas/currency.ts';
import { type DuePart, dueParts, rememberedPeriods } from '#schemas/due-parts.ts';
import { formatInstant } from '#schemas/instant.ts';
import { formatMinorUnits } from '#schemas/money.ts';
import type { Instant } from '#schemas/period.ts';
import { schedulesIn, type VersionRow } from '../../rater/run/billable-periods.ts';
import type { CatalogStore } from '../catalog/catalog.postgres.ts';
import type { Db } from '../route/define-route.ts';
import { found } from '../route/resource-fields.ts';
import { totalsToJson } from '../route/totals-json.ts';
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
import { type RatedPart, type RateUpcomingPorts, rateUpcoming } from './rate-upcoming.ts';
import type { CutSubscription, UpcomingReader } from './upcoming.postgres.ts';
import { unknownJson } from './upcoming-json.ts';
import { cutAfter, type UpcomingSubscription } from './upcoming-parts.ts';

export type PreviewChangePorts = RateUpcomingPorts &
  DrawUpPorts & {
    readonly upcoming: UpcomingReader;
    readonly catalog: Pick<CatalogStore, 'planNames'>;
  };

/** Up to the last of the invoices; of more none is drawn up while somebody waits. */
const drawnPartsMax = 2_000;

type Facts = { readonly versions: readonly VersionRow[]; readonly cut: CutSubscription; readonly now: Instant };

/** A subscription with the change or without it, and what of it is of concern. */
type Side = {
  readonly subscription: UpcomingSubscription;
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
  { versions, cut: { externalId, oneTimeRows }, now }: Facts,
): Promise<PreviewedSide> => {
  const parts = (ahead ?? own).map((part) => ({ subscription, externalId, part, oneTimeRows }));
  const rated = await rateUpcoming(ports, db, parts, versions);
  const ownKeys = new Set(own.map(partKey));
  const linesOf = (all: readonly RatedPart[]) =>
    all
      .filter(({ part }) => ownKeys.has(partKey(part)))
      .flatMap(({ part, known }) => known.map((line) => ({ part, line })));
  const shown = ({ part }: RatedPart): boolean => dueAts.has(part.dueAt);
  const failed = rated.filter((one) => one.failure !== undefined && shown(one));
  if (!ahead) return { lines: linesOf(rated), invoices: undefined, failed };
  const payerOf = await payersOf(ports, db, rated);
  // What an earlier invoice uses up of a discount is missing in these.
  const due = [...Map.groupBy(rated, ({ part }) => part.dueAt).values()].map((parts) => ({
    payerId: payerOf(parts[0] as RatedPart).id,
    parts,
  }));
  const [drawn = []] = await drawUpInvoices(ports, db, [due], { watermark: 0n, now });
  const invoices = drawn.filter(({ dueAt }) => dueAts.has(dueAt));
  const lines = linesOf(partsAsDrawn(rated, drawn));
  return { lines, invoices: invoices.toSorted((a, b) => a.dueAt - b.dueAt), failed };
};

const sideJson = ({ lines, invoices }: PreviewedSide, { planNames, currency }: UpcomingSubscription) => ({
  ...previewedLinesJson(lines, planNames, currency as Currency),
  invoices:
    invoices?.map(({ dueAt, parts, content }) => ({
      due_at: formatInstant(dueAt),
      lines: previewedLinesJson(
        parts.flatMap(({ part, known }) => known.map((line) => ({ part, line }))),
        planNames,
        content.currency,
      ).lines,
      subtotal: formatMinorUnits(content.subtotal, content.currency),
      ...totalsToJson(content, content.currency),
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
  const facts = { versions, cut, now };
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
