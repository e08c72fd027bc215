/**
 * What of the catalog the terms of a plan version name: the meters that it charges by, the features that it entitles
 * to, and what its prices refer to. Meters and features are locked against their end until the transaction ends. What
 * is not there, or does not fit, is refused at its place.
 */
import { isCurrency } from '#schemas/currency.ts';
import { entitlementType, fieldsByType } from '#schemas/entitlement.ts';
import { type FailureCode, FailureError } from '#schemas/failures.ts';
import type { Fault } from '#schemas/fault.ts';
import type { MeterDefinition } from '#schemas/meter.ts';
import { type ChargeJson, chargeFromJson, type PlanTermsJson } from '#schemas/plan.ts';
import { meterFaults } from '#schemas/price/meter-fit.ts';
import { sourceNamesOf } from '../../rater/price/source-rows.ts';
import type { Db } from '../route/define-route.ts';
import type { CatalogStore } from './catalog.postgres.ts';
import type { BoundTerms, Feature } from './features.postgres.ts';
import { chargePlaces, sourceFaults } from './source-faults.ts';
import type { SourceRowStore } from './source-rows.postgres.ts';

/** What is wrong with a charge's prices for its meter; nothing of a stored charge that does not read any more. */
const chargeFaults = (charge: ChargeJson, meter: MeterDefinition, field: string): Fault[] => {
  const parsed = chargeFromJson(charge);
  if (!parsed.ok) return [];
  const { price, currencyOptions } = parsed.value;
  return [
    ...meterFaults(price, meter, `${field}.price`),
    ...[...currencyOptions].flatMap(([code, option]) =>
      meterFaults(option, meter, `${field}.currency_options.${code}`),
    ),
  ];
};

const entitlementFaults = ({ entitlements }: PlanTermsJson, features: ReadonlyMap<string, Feature>): readonly Fault[] =>
  entitlements.flatMap((entitlement, index): Fault[] => {
    const field = `entitlements[${index}]`;
    const feature = features.get(entitlement.feature);
    if (!feature) {
      const message = `there is no feature ${entitlement.feature}`;
      return [{ field: `${field}.feature`, code: 'not_found', message }];
    }
    const type = entitlementType(entitlement);
    if (feature.type === type) return [];
    const [wanted, given] = [fieldsByType[feature.type][0], fieldsByType[type][0]];
    const message = `${feature.code} is of the type ${feature.type}: it has ${wanted}, and not ${given}`;
    return [{ field: `${field}.${given}`, code: 'not_allowed', message }];
  });

/** Nothing to lock: plans don't end. */
const addOnFaults = (beside: readonly string[], plans: ReadonlySet<string>): readonly Fault[] =>
  beside.flatMap((code, index) => {
    const message = `there is no plan ${code} that an add-on can go with`;
    return plans.has(code) ? [] : [{ field: `add_on.plans[${index}]`, code: 'not_found', message }];
  });

/**
 * What is wrong with what the prices refer to: books and units are there and fit, and what is charged from `activeAt`
 * on has a price then. What a stored charge says that does not read any more is left to whoever reads it.
 */
const sourcesFaults = async (
  sourceRows: SourceRowStore,
  db: Db,
  { currency, charges }: PlanTermsJson,
  activeAt: Date | undefined,
): Promise<Fault[]> => {
  const read = charges.flatMap((json, index) => {
    const parsed = chargeFromJson(json);
    return parsed.ok ? [{ charge: parsed.value, field: `charges[${index}]` }] : [];
  });
  const prices = read.flatMap(({ charge }) => [
    charge,
    ...[...charge.currencyOptions.values()].map((price) => ({ ...charge, price })),
  ]);
  const rows = await sourceRows.at(db, sourceNamesOf(prices), activeAt?.getTime() ?? 0);
  return isCurrency(currency)
    ? read.flatMap(({ charge, field }) =>
        sourceFaults(charge, currency, chargePlaces(field), rows, activeAt?.getTime()),
      )
    : [];
};

export type BindPorts = { readonly catalog: CatalogStore; readonly sourceRows: SourceRowStore };

/** `activeAt` is from when on the terms are charged; those of a draft have no such time yet. */
export const bindTerms = async (
  { catalog, sourceRows }: BindPorts,
  db: Db,
  terms: PlanTermsJson,
  refusal: FailureCode,
  activeAt: Date | undefined,
): Promise<BoundTerms> => {
  const features = await catalog.featuresByCode(
    db,
    terms.entitlements.map(({ feature }) => feature),
  );
  const charged = terms.charges.flatMap(({ meter }) => (meter ? [meter] : []));
  const measured = [...features.values()].flatMap(({ meter }) => (meter ? [meter] : []));
  const versions = await catalog.newestVersions(db, [...charged, ...measured]);
  const meters = await catalog.meterVersionsOf(db, [...versions.values()]);
  const faults = terms.charges.flatMap((charge, index) => {
    const { meter } = charge;
    if (!meter) return [];
    const definition = meters.get(versions.get(meter) ?? '');
    const field = `charges[${index}]`;
    return definition
      ? chargeFaults(charge, definition, field)
      : [{ field: `${field}.meter`, code: 'not_found', message: `there is no meter ${meter}` }];
  });
  const beside = terms.add_on?.plans ?? [];
  const plans = await catalog.plansByCode(db, beside);
  faults.push(...entitlementFaults(terms, features), ...addOnFaults(beside, plans));
  faults.push(...(await sourcesFaults(sourceRows, db, terms, activeAt)));
  if (faults.length > 0) throw new FailureError(refusal, undefined, faults);
  return {
    meters: new Map([...versions].filter(([code]) => charged.includes(code))),
    features: [...features.values()].map(({ id, meter }) => ({
      featureId: id,
      meterVersionId: meter === null ? null : (versions.get(meter) ?? null),
    })),
  };
};
