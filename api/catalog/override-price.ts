/**
 * The use cases of price overrides: which price may stand in place of a charge's own, and when. Under the lock of the
 * plan, so that no version becomes active meanwhile that it would not fit.
 */
import assert from 'node:assert/strict';
import type { Static } from 'typebox';
import { isCurrency } from '#schemas/currency.ts';
import { FailureError } from '#schemas/failures.ts';
import type { Fault } from '#schemas/fault.ts';
import type { NewPriceOverride, PriceOverridePatch } from '#schemas/http/price-overrides.ts';
import { formatInstant } from '#schemas/instant.ts';
import type { MeterDefinition } from '#schemas/meter.ts';
import type { Instant } from '#schemas/period.ts';
import { type ChargeJson, currenciesOf } from '#schemas/plan.ts';
import { creditFaults } from '#schemas/price/credits.ts';
import { addsUp, meterFaults } from '#schemas/price/meter-fit.ts';
import { type Price, priceFromJson, priceToJson } from '#schemas/price/price.ts';
import { canContinue, type TierCount } from '#schemas/price-span.ts';
import { sourceNamesOf } from '../../rater/price/source-rows.ts';
import type { Db } from '../route/define-route.ts';
import { found, readInstant, refuseFaults } from '../route/resource-fields.ts';
import type { CatalogStore } from './catalog.postgres.ts';
import type { PriceOverride, PriceOverrideStore } from './price-overrides.postgres.ts';
import { sourceFaults } from './source-faults.ts';
import type { SourceRowStore } from './source-rows.postgres.ts';

export type OverridePorts = {
  readonly catalog: Pick<CatalogStore, 'lockPlan' | 'pinnedMeters'>;
  readonly priceOverrides: PriceOverrideStore;
  readonly sourceRows: SourceRowStore;
  /** The id of a customer by its id or external id. */
  readonly customers: { readonly customerId: (db: Db, idOrExternalId: string) => Promise<string | undefined> };
};

type Meter = Pick<MeterDefinition, 'aggregation' | 'groupBy' | 'rounding'>;

const continueFaults = (price: Price, meter: Meter | undefined): Fault[] => {
  const field = 'tiers';
  const code = 'not_allowed';
  if (!canContinue(price))
    return [{ field, code, message: `must be restart: a price of model ${price.model} has no units to go on from` }];
  if (meter && !addsUp(meter))
    return [{ field, code, message: 'must be restart: the meter has to sum or count, without rounding' }];
  return [];
};

/** What is wrong with a price in place of that of a charge, which `whose` names. */
export const overrideFaults = (
  { price, tiers }: { readonly price: Price; readonly tiers: TierCount },
  charge: ChargeJson,
  meter: Meter | undefined,
  whose: string,
): Fault[] => {
  if (price.model !== charge.price.model)
    return [{ field: 'price.model', code: 'not_allowed', message: `must be ${charge.price.model}, as in ${whose}` }];
  return [
    // It is in the unit of the charge that it stands for.
    ...(charge.credit_unit === undefined ? [] : creditFaults(price, 'price', 'price.model')),
    ...(meter ? meterFaults(price, meter, 'price') : []),
    ...(tiers === 'continue' ? continueFaults(price, meter) : []),
  ];
};

/** It has to fit every version of the plan that somebody is charged by. */
const fitFaults = async (
  { catalog, priceOverrides }: Pick<OverridePorts, 'catalog' | 'priceOverrides'>,
  db: Db,
  planId: string,
  { price, tiers, chargeCode }: { readonly price: Price; readonly tiers: TierCount; readonly chargeCode: string },
): Promise<Fault[]> => {
  const versions = await priceOverrides.chargingVersions(db, planId);
  const charging = versions.flatMap((version) => {
    const charge = version.charges.find(({ code }) => code === chargeCode);
    return charge ? [{ version, charge }] : [];
  });
  if (charging.length === 0)
    return [{ field: 'charge', code: 'not_found', message: `no version of the plan charges ${chargeCode}` }];
  for (const { version, charge } of charging) {
    const pinned = await catalog.pinnedMeters(db, version.planVersionId);
    const meter = pinned.find(({ code }) => code === charge.meter);
    const faults = overrideFaults({ price, tiers }, charge, meter, `version ${version.versionNumber} of the plan`);
    if (faults.length > 0) return faults;
  }
  return [];
};

/** What the price refers to is there, fits its currency, and is in force when the price begins to stand. */
const bookFaultsOf = async (
  { sourceRows }: Pick<OverridePorts, 'sourceRows'>,
  db: Db,
  price: Price,
  currency: string,
  from: Instant | undefined,
): Promise<Fault[]> => {
  if (price.model !== 'cost_book' || !isCurrency(currency)) return [];
  const referring = { price, creditUnit: null };
  const rows = await sourceRows.at(db, sourceNamesOf([referring]), from ?? 0);
  const places = { price: 'price', unit: 'price', options: 'price' };
  return sourceFaults({ ...referring, currencyOptions: new Map() }, currency, places, rows, from);
};

/** Nothing that is billed gets another price. What lies ahead can't be billed yet, by the hour of who is billed. */
const refuseBilled = async (
  { priceOverrides }: OverridePorts,
  db: Db,
  whose: Pick<PriceOverride, 'planId' | 'customerId'>,
  instant: Instant,
  nowMs: number,
): Promise<void> => {
  const until = await priceOverrides.billedUntil(db, whose, instant, new Date(nowMs));
  if (until !== undefined)
    throw new FailureError('PRICE_OVERRIDE_BILLED', `Usage of the plan is billed until ${formatInstant(until)}.`);
};

/**
 * What is wrong with a price of a charge from an instant on, in every version of the plan that somebody is charged by.
 * Under the lock of the plan.
 */
export const standingFaults = async (
  ports: Pick<OverridePorts, 'catalog' | 'priceOverrides' | 'sourceRows'>,
  db: Db,
  planId: string,
  one: { readonly price: Price; readonly tiers: TierCount; readonly chargeCode: string },
  { currency, from }: { readonly currency: string; readonly from: Instant | undefined },
): Promise<Fault[]> => [
  ...(await fitFaults(ports, db, planId, one)),
  ...(await bookFaultsOf(ports, db, one.price, currency, from)),
];

const endFault = (from: Instant | undefined, until: Instant | undefined): Fault[] =>
  from !== undefined && until !== undefined && until < from
    ? [{ field: 'effective_until', code: 'out_of_range', message: 'must not be before effective_from' }]
    : [];

export const addOverride = async (
  ports: OverridePorts,
  db: Db,
  body: Static<typeof NewPriceOverride>,
  nowMs: number,
): Promise<PriceOverride> => {
  const parsed = priceFromJson(body.price);
  const faults: Fault[] = parsed.ok ? [] : [...parsed.faults];
  const effectiveFrom = readInstant(body.effective_from, 'effective_from', faults);
  const effectiveUntil = readInstant(body.effective_until ?? undefined, 'effective_until', faults);
  faults.push(...endFault(effectiveFrom, effectiveUntil));
  const plan = found(await ports.catalog.lockPlan(db, body.plan, 'subscribe'), 'PLAN_NOT_FOUND');
  const customerId =
    body.customer_id == null
      ? null
      : found(await ports.customers.customerId(db, body.customer_id), 'CUSTOMER_NOT_FOUND');
  const { currency = plan.terms.currency, tiers = 'restart', charge: chargeCode, metadata = {} } = body;
  const priced = currenciesOf(plan.terms);
  if (!priced.includes(currency))
    faults.push({
      field: 'currency',
      code: 'not_priced',
      message: `the plan has no prices in ${currency}; it has them in ${priced.join(', ')}`,
    });
  if (parsed.ok) {
    const one = { price: parsed.value, tiers, chargeCode };
    faults.push(...(await standingFaults(ports, db, plan.id, one, { currency, from: effectiveFrom })));
  }
  refuseFaults(faults);
  if (!parsed.ok || effectiveFrom === undefined) throw new FailureError('VALIDATION_FAILED');
  const whose = { planId: plan.id, customerId };
  await refuseBilled(ports, db, whose, effectiveFrom, nowMs);
  return ports.priceOverrides.addOverride(
    db,
    {
      ...whose,
      chargeCode,
      currency,
      price: priceToJson(parsed.value),
      tiers,
      effectiveFrom,
      effectiveUntil: effectiveUntil ?? null,
      metadata,
    },
    new Date(nowMs),
  );
};

const isLater = (end: Instant | null, before: Instant | null): boolean =>
  before !== null && (end === null || end > before);

/** Another end, which may be the beginning: then the price never stands. */
export const changeOverride = async (
  ports: OverridePorts,
  db: Db,
  before: PriceOverride,
  { effective_until: given, metadata = before.metadata }: Static<typeof PriceOverridePatch>,
  nowMs: number,
): Promise<PriceOverride> => {
  const faults: Fault[] = [];
  const until = given == null ? undefined : readInstant(given, 'effective_until', faults);
  faults.push(...endFault(before.effectiveFrom, until));
  refuseFaults(faults);
  const effectiveUntil = given === undefined ? before.effectiveUntil : (until ?? null);
  if (isLater(effectiveUntil, before.effectiveUntil)) {
    found(await ports.catalog.lockPlan(db, before.planId, 'subscribe'), 'PLAN_NOT_FOUND');
    const parsed = priceFromJson(before.price);
    assert(parsed.ok, `the price of ${before.id} can be read`);
    // There may be versions that came to be since it ended.
    const one = { price: parsed.value, tiers: before.tiers, chargeCode: before.chargeCode };
    refuseFaults(
      (await fitFaults(ports, db, before.planId, one)).map((fault) => ({ ...fault, field: 'effective_until' })),
    );
  }
  if (effectiveUntil !== before.effectiveUntil) {
    const ends = [effectiveUntil, before.effectiveUntil].filter((end) => end !== null);
    await refuseBilled(ports, db, before, Math.min(...ends), nowMs);
  }
  return ports.priceOverrides.changeOverride(db, before.id, { effectiveUntil, metadata }, new Date(nowMs));
};
