/**
 * Counts the fates of the events that an organization received, customer by customer: bounded work at a time, whatever
 * the organization has. All of it is read at one watermark, so that what goes on meanwhile changes nothing.
 */
import type { BilledUsage } from '../events/billed-usage.postgres.ts';
import {
  type ChargedMeter,
  chargesName,
  type FateCounts,
  type FatesByHour,
  intervalsIn,
  type KnownSubscription,
  measuringVersions,
  metersOf,
  type UsageCustomer,
  usageCustomers,
} from '../events/billed-usage.ts';
import { addFates, fateStatements } from '../events/fate-query.ts';
import type { Db } from '../route/define-route.ts';
import type { Hours } from './ingest-counts.postgres.ts';
import type { StoredUsage } from './stored-usage.clickhouse.ts';

export type FatePorts = {
  readonly billedUsage: Pick<BilledUsage, 'knownNames' | 'subscriptionsOf' | 'chargedMeters'>;
  readonly storedUsage: Pick<StoredUsage, 'customerNames' | 'fates'>;
  readonly isCallerThere: () => boolean;
};

/** More names in a span are not counted: a caller asks for a shorter one. */
export const customersMax = 200_000;

const namesPerRead = 5_000;

/** Undefined where the span holds events of too many customers. */
export const countFates = async (
  { billedUsage, storedUsage, isCallerThere }: FatePorts,
  db: Db,
  hours: Hours,
  watermark: bigint,
): Promise<FatesByHour | undefined> => {
  const names = await storedUsage.customerNames(db.organizationId, hours, watermark, customersMax + 1);
  if (names.length > customersMax) return undefined;
  const meters = new Map<string, readonly ChargedMeter[]>();
  /** By version and currency; what a stretch is charged by is among them. */
  const ofVersions = new Map<string, readonly ChargedMeter[]>();
  const ofVersion = (planVersionId: string, currency: string): readonly ChargedMeter[] =>
    ofVersions.get(`${planVersionId} ${currency}`) ?? [];
  const readVersions = async (subscriptions: readonly KnownSubscription[]): Promise<void> => {
    for (const subscription of subscriptions)
      for (const id of measuringVersions(subscription)) {
        const name = `${id} ${subscription.currency}`;
        if (!ofVersions.has(name)) ofVersions.set(name, await billedUsage.chargedMeters(db, id, subscription.currency));
      }
  };
  const intervalsOf = (currency: string) => (planVersionId: string) => intervalsIn(ofVersion(planVersionId, currency));
  const nameMeters = (customers: readonly UsageCustomer[]): void => {
    for (const { spans } of customers)
      for (const span of spans) {
        const name = chargesName(span);
        if (!meters.has(name)) meters.set(name, metersOf(ofVersion(span.planVersionId, span.currency), span));
      }
  };
  const fates = new Map<number, FateCounts>();
  const span = { tenant: db.organizationId, watermark, from: hours.from.getTime(), to: hours.to.getTime() };
  for (let at = 0; at < names.length && isCallerThere(); at += namesPerRead) {
    const some = names.slice(at, at + namesPerRead);
    const known = await billedUsage.knownNames(db, some);
    const subscriptions = await billedUsage.subscriptionsOf(db, some);
    await readVersions(subscriptions);
    const customers = usageCustomers(some, known, subscriptions, intervalsOf);
    nameMeters(customers);
    for (const statement of fateStatements({ ...span, customers, meters }))
      addFates(fates, await storedUsage.fates(statement));
  }
  return fates;
};
