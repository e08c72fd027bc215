/**
 * The use cases of what plans charge: how a version comes to be, changes as a draft, becomes active and is archived.
 * Each is under the lock of the plan's row, so that of two at once the second sees what the first did.
 */
import { isDeepStrictEqual } from 'node:util';
import { unbilledTimeFaults } from '#schemas/charge-times.ts';
import { type FailureCode, FailureError } from '#schemas/failures.ts';
import { asObject, type Fault, type JsonObject, type Parsed } from '#schemas/fault.ts';
import {
  type PlanTermsJson,
  planTermsFromJson,
  planTermsToJson,
  planVersionFromJson,
  planVersionToJson,
} from '#schemas/plan.ts';
import { priceFromJson } from '#schemas/price/price.ts';
import type { QuotedPrice } from '#schemas/quote.ts';
import type { Db } from '../route/define-route.ts';
import { found, refuseFaults } from '../route/resource-fields.ts';
import { bindTerms } from './bind-terms.ts';
import type { CatalogStore, Plan } from './catalog.postgres.ts';
import { overrideFaults } from './override-price.ts';
import type { PlanVersion } from './plan-versions.postgres.ts';
import type { PriceOverride, PriceOverrideStore } from './price-overrides.postgres.ts';
import type { SourceRowStore } from './source-rows.postgres.ts';

export type PlanPorts = {
  readonly catalog: CatalogStore;
  readonly priceOverrides: Pick<PriceOverrideStore, 'overridesOf' | 'chargingVersions'>;
  readonly sourceRows: SourceRowStore;
  /** Prices in offers that customers may still accept. */
  readonly quotes: {
    readonly offeredPrices: (
      db: Db,
      planId: string,
    ) => Promise<readonly { readonly id: string; readonly prices: readonly QuotedPrice[] }[]>;
  };
};

/** The plan and one of its versions, before a change and after it. */
export type VersionChange = { readonly plan: Plan; readonly before?: PlanVersion; readonly after: PlanVersion };

const required = <T>(parsed: Parsed<T>): T => {
  if (!parsed.ok) throw new FailureError('VALIDATION_FAILED', undefined, parsed.faults);
  return parsed.value;
};

type OwnPrice = Pick<PriceOverride, 'chargeCode' | 'price' | 'tiers'> & {
  readonly whose: string;
  /** Whether it only stood before: time that is not billed yet may be of it. */
  readonly isOver: boolean;
};

/** Prices that stand in place of a charge's own, did, or may come to: overrides, and those that are offered. */
const ownPrices = async ({ priceOverrides, quotes }: PlanPorts, db: Db, planId: string, now: Date) => {
  const overrides = await priceOverrides.overridesOf(db, planId);
  const isOver = ({ effectiveUntil: end }: PriceOverride) => end !== null && end <= now.getTime();
  const offers = await quotes.offeredPrices(db, planId);
  return [
    ...overrides.map((one): OwnPrice => ({ ...one, whose: `the price override ${one.id}`, isOver: isOver(one) })),
    ...offers.flatMap(({ id, prices }) =>
      prices.map(
        ({ charge, ...one }): OwnPrice => ({ ...one, chargeCode: charge, whose: `the quote ${id}`, isOver: false }),
      ),
    ),
  ];
};

/**
 * Each such price has to fit every version that has its charge. One that is over stands for no charge of another model
 * in time that is still to be billed; its unit it shares with the charge, and could be read in another.
 */
const refuseMisfits = async (
  ports: PlanPorts,
  db: Db,
  planId: string,
  { charges }: PlanTermsJson,
  versions: ReadonlyMap<string, string>,
  refusal: FailureCode,
  now: Date,
): Promise<void> => {
  const { catalog, priceOverrides } = ports;
  const overrides = await ownPrices(ports, db, planId, now);
  if (overrides.length === 0) return;
  const meters = await catalog.meterVersionsOf(db, [...versions.values()]);
  const charged = (await priceOverrides.chargingVersions(db, planId)).flatMap((version) => version.charges);
  const faults = charges.flatMap((charge, index) => {
    const meter = meters.get(versions.get(charge.meter ?? '') ?? '');
    const unit = (charged.find(({ code }) => code === charge.code) ?? charge).credit_unit ?? null;
    const isOverridden = overrides.some(({ chargeCode }) => chargeCode === charge.code);
    // An override is in the unit that its charge was in when it was made.
    if (isOverridden && unit !== (charge.credit_unit ?? null)) {
      const message = `must be ${unit ?? 'null'}, as it was when its price overrides were made`;
      return [{ field: `charges[${index}].credit_unit`, code: 'not_allowed', message }];
    }
    return overrides
      .filter(({ chargeCode, isOver }) => chargeCode === charge.code && !isOver)
      .flatMap(({ whose, tiers, price: json }): Fault[] => {
        const parsed = priceFromJson(json);
        const [fault] = parsed.ok ? overrideFaults({ price: parsed.value, tiers }, charge, meter, 'this version') : [];
        return fault
          ? [
              {
                field: `charges[${index}].price`,
                code: 'not_allowed',
                message: `does not go with ${whose}: its ${fault.field} ${fault.message}`,
              },
            ]
          : [];
      });
  });
  if (faults.length > 0) throw new FailureError(refusal, undefined, faults);
};

/** Nobody is charged by terms that billing does not follow yet: they wait in drafts. */
const requireBillable = ({ charges }: PlanTermsJson, refusal: FailureCode): void => {
  const faults = unbilledTimeFaults(charges, 'charges');
  if (faults.length > 0) throw new FailureError(refusal, undefined, faults);
};

/** Terms with what was given of them; the rest is as it was. All faults are told. */
const termsWith = (terms: PlanTermsJson, { kind }: Plan, given: unknown): PlanTermsJson => {
  const faults: Fault[] = [];
  const object = asObject(given, '', faults);
  refuseFaults(faults);
  return planTermsToJson(required(planTermsFromJson({ ...terms, ...object }, kind)));
};

/** As it would be written today. */
const canonical = ({ terms, kind }: Plan): PlanTermsJson => {
  const parsed = planTermsFromJson(terms, kind);
  return parsed.ok ? planTermsToJson(parsed.value) : terms;
};

/** By id or code, locked. */
const lockedPlan = async ({ catalog }: PlanPorts, db: Db, idOrCode: string): Promise<Plan> =>
  found(await catalog.lockPlan(db, idOrCode, 'change'), 'PLAN_NOT_FOUND');

/** The version of a locked plan. */
const versionOf = async ({ catalog }: PlanPorts, db: Db, plan: Plan, number: string): Promise<PlanVersion> =>
  found(await catalog.planVersion(db, plan.id, Number(number)), 'PLAN_VERSION_NOT_FOUND');

const requireDraft = ({ state, versionNumber }: PlanVersion): void => {
  if (state === 'draft') return;
  const cure =
    'PATCH /v1/plans/{id} with charges makes a new active version; POST /v1/plans/{id}/versions makes a draft of it first.';
  throw new FailureError('PLAN_VERSION_IMMUTABLE', `Version ${versionNumber} is ${state}. ${cure}`);
};

/** A plan with its first version: active at once, or a draft. */
export const createPlan = async (
  ports: PlanPorts,
  db: Db,
  json: JsonObject,
  { kind, metadata, draft }: Pick<Plan, 'kind' | 'metadata'> & { readonly draft: boolean },
  now: Date,
): Promise<Plan> => {
  const { catalog } = ports;
  const { code, name, ...terms } = planVersionToJson(required(planVersionFromJson(json, kind)));
  if (!draft) requireBillable(terms, 'VALIDATION_FAILED');
  const bound = await bindTerms(ports, db, terms, 'VALIDATION_FAILED', draft ? undefined : now);
  const id = found(await catalog.addPlan(db, { kind, code, name, metadata }, now), 'PLAN_ALREADY_EXISTS');
  if (draft) await catalog.addDraft(db, id, terms, now);
  else await catalog.addActiveVersion(db, id, terms, bound, now);
  return found(await catalog.planById(db, id), 'PLAN_NOT_FOUND');
};

export type PlanPatch = {
  readonly name?: string | undefined;
  readonly metadata?: Record<string, string> | undefined;
  /** Of the terms; unknown fields are refused with them. */
  readonly given: JsonObject;
};

/** Other terms are a new active version. Those that are given as they are make none. */
export const changePlan = async (
  ports: PlanPorts,
  db: Db,
  idOrCode: string,
  { name, metadata, given }: PlanPatch,
  now: Date,
  matchVersion: (version: number) => void,
): Promise<{ readonly before: Plan; readonly after: Plan }> => {
  const { catalog } = ports;
  const before = await lockedPlan(ports, db, idOrCode);
  matchVersion(before.version);
  if (Object.keys(given).length > 0) {
    const terms = termsWith(before.terms, before, given);
    if (before.state !== 'active') throw new FailureError('PLAN_NOT_ACTIVE');
    if (!isDeepStrictEqual(terms, canonical(before))) {
      requireBillable(terms, 'VALIDATION_FAILED');
      const bound = await bindTerms(ports, db, terms, 'VALIDATION_FAILED', now);
      await refuseMisfits(ports, db, before.id, terms, bound.meters, 'VALIDATION_FAILED', now);
      await catalog.addActiveVersion(db, before.id, terms, bound, now);
    }
  }
  const head = { name: name ?? before.name, metadata: metadata ?? before.metadata };
  return { before, after: found(await catalog.changePlan(db, before.id, head, now), 'PLAN_NOT_FOUND') };
};

/** A draft of what is given, and of what stands for the plan where nothing is. */
export const addDraft = async (
  ports: PlanPorts,
  db: Db,
  idOrCode: string,
  given: unknown,
  now: Date,
): Promise<VersionChange> => {
  const { catalog } = ports;
  const plan = await lockedPlan(ports, db, idOrCode);
  const terms = termsWith(plan.terms, plan, given);
  await bindTerms(ports, db, terms, 'VALIDATION_FAILED', undefined);
  const after = await catalog.addDraft(db, plan.id, terms, now);
  await catalog.countPlanChange(db, plan.id, now);
  return { plan, after };
};

export type VersionName = { readonly id: string; readonly version_number: string };

/** Any change of a version: under the lock of its plan, which counts it. */
const changeVersion = async (
  ports: PlanPorts,
  db: Db,
  { id, version_number: number }: VersionName,
  now: Date,
  change: (before: PlanVersion, plan: Plan) => Promise<PlanVersion>,
): Promise<Required<VersionChange>> => {
  const plan = await lockedPlan(ports, db, id);
  const before = await versionOf(ports, db, plan, number);
  const after = await change(before, plan);
  await ports.catalog.countPlanChange(db, plan.id, now);
  return { plan, before, after };
};

export const changeDraft = (
  ports: PlanPorts,
  db: Db,
  name: VersionName,
  given: unknown,
  now: Date,
  matchVersion: (version: number) => void,
): Promise<Required<VersionChange>> =>
  changeVersion(ports, db, name, now, async (before, plan) => {
    matchVersion(before.version);
    requireDraft(before);
    const terms = termsWith(before.terms, plan, given);
    await bindTerms(ports, db, terms, 'VALIDATION_FAILED', undefined);
    return ports.catalog.changeDraft(db, before, terms, now);
  });

/** Meters and features are bound now, meters in their newest versions, and not when the draft was written. */
export const activateDraft = (
  ports: PlanPorts,
  db: Db,
  name: VersionName,
  now: Date,
): Promise<Required<VersionChange>> =>
  changeVersion(ports, db, name, now, async (before) => {
    requireDraft(before);
    requireBillable(before.terms, 'PLAN_VERSION_INCOMPLETE');
    const bound = await bindTerms(ports, db, before.terms, 'PLAN_VERSION_INCOMPLETE', now);
    await refuseMisfits(ports, db, before.planId, before.terms, bound.meters, 'PLAN_VERSION_INCOMPLETE', now);
    return ports.catalog.activateDraft(db, before, bound, now);
  });

/** Of the active version: nobody subscribes to the plan until another is active. Of a draft: it is given up. */
export const archiveVersion = (
  ports: PlanPorts,
  db: Db,
  name: VersionName,
  now: Date,
): Promise<Required<VersionChange>> =>
  changeVersion(ports, db, name, now, async (before) => {
    if (before.state === 'archived')
      throw new FailureError('PLAN_VERSION_IMMUTABLE', `Version ${before.versionNumber} is archived already.`);
    return ports.catalog.archiveVersion(db, before, now);
  });
