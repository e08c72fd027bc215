/**
 * What a quote offers: read, and judged as the subscription would be that comes of it, so that what is sent can be
 * accepted. A quote that was sent holds the versions of plans that were active then, whatever becomes of them.
 */
import type { Static } from 'typebox';
import type { World } from '#schemas/api-key.ts';
import type { Currency } from '#schemas/currency.ts';
import { FailureError, type Fault } from '#schemas/failures.ts';
import type { QuotePatch } from '#schemas/http/quotes.ts';
import { formatInstant, instantFromText } from '#schemas/instant.ts';
import type { Instant } from '#schemas/period.ts';
import type { PlanTermsJson } from '#schemas/plan.ts';
import { type Price, priceFromJson, priceToJson } from '#schemas/price/price.ts';
import type { TierCount } from '#schemas/price-span.ts';
import type { QuotedAddOn, QuotedCoupon, QuotedTrial, QuoteTerms } from '#schemas/quote.ts';
import type { CatalogStore, Plan } from '../catalog/catalog.postgres.ts';
import { type OverridePorts, standingFaults } from '../catalog/override-price.ts';
import type { CustomerStore } from '../customers/customers.postgres.ts';
import type { Db } from '../route/define-route.ts';
import { readInstant, refuseFaults } from '../route/resource-fields.ts';
import { type AskedSubscription, type DecidedStart, decideStart } from '../subscriptions/start-subscription.ts';
import { type CouponPorts, couponFaults, pinCoupon, readCoupon } from './quoted-coupon.ts';
import type { Quote, QuoteDraft } from './quotes.postgres.ts';

export type TermsPorts = Pick<OverridePorts, 'priceOverrides' | 'sourceRows'> & {
  readonly customers: Pick<CustomerStore, 'payer'>;
  readonly catalog: Pick<CatalogStore, 'lockPlan' | 'pinnedMeters' | 'versionTerms'>;
} & CouponPorts;

export type Asking = { readonly hourMs: Instant; readonly world: World; readonly lock?: 'lock' };

/** What is given of a quote; undefined stays as it is. */
type Given = Static<typeof QuotePatch>;

/** The catalog with the versions of plans that a quote holds. */
export const pinnedCatalog = (
  catalog: TermsPorts['catalog'],
  { planId, planVersionId, terms }: Pick<Quote, 'planId' | 'planVersionId' | 'terms'>,
): TermsPorts['catalog'] => {
  const held = [
    [planId, planVersionId] as const,
    ...terms.add_ons.map((one) => [one.plan_id, one.plan_version_id] as const),
  ];
  const versions = new Map(held.flatMap(([plan, version]) => (version === null ? [] : [[plan, version] as const])));
  return {
    ...catalog,
    lockPlan: async (db, idOrCode, to): Promise<Plan | undefined> => {
      const plan = await catalog.lockPlan(db, idOrCode, to);
      const version = plan && versions.get(plan.id);
      if (!plan || version === undefined) return plan;
      const of = (await catalog.versionTerms(db, [version])).get(version) as PlanTermsJson;
      return { ...plan, planVersionId: version, terms: of, state: 'active' };
    },
  };
};

/** The subscription that comes of it. */
const askedOf = (
  quote: Pick<Quote, 'customerId' | 'planId' | 'currency' | 'terms' | 'startsAt'>,
): AskedSubscription => ({
  customer_id: quote.customerId,
  plan: quote.planId,
  seats: quote.terms.seats,
  add_ons: quote.terms.add_ons.map(({ plan_id: plan, quantity }) => ({ plan, quantity })),
  billing_anchor: quote.terms.billing_anchor,
  ...(quote.currency === null ? {} : { currency: quote.currency as Currency }),
  ...(quote.startsAt === null ? {} : { started_at: formatInstant(quote.startsAt) }),
  ...(quote.terms.trial === null ? {} : { trial: quote.terms.trial }),
});

/** As it would be made now. Throws what stands against it. */
export const decideQuoted = (
  { customers, catalog }: Pick<TermsPorts, 'customers' | 'catalog'>,
  db: Db,
  quote: Pick<Quote, 'customerId' | 'planId' | 'planVersionId' | 'currency' | 'terms' | 'startsAt'>,
  at: Asking,
): Promise<DecidedStart> => decideStart({ customers, catalog: pinnedCatalog(catalog, quote) }, db, askedOf(quote), at);

/** A subscription says `started_at` of what is `starts_at` here. */
const placed = ({ field, ...rest }: Fault): Fault => ({ ...rest, field: field === 'started_at' ? 'starts_at' : field });

/** Adds the faults of what was asked; what else is thrown goes on. */
const collecting = async <T>(faults: Fault[], work: () => Promise<T>): Promise<T | undefined> => {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof FailureError) || error.code !== 'VALIDATION_FAILED') throw error;
    faults.push(...(error.faults ?? []).map(placed));
    return undefined;
  }
};

type ReadPrice = { readonly field: string; readonly charge: string; readonly price: Price; readonly tiers: TierCount };

const readPrices = (given: NonNullable<Given['prices']>, faults: Fault[]): ReadPrice[] => {
  const seen = new Set<string>();
  return given.flatMap(({ charge, price, tiers = 'restart' }, index) => {
    const field = `prices[${index}]`;
    if (seen.has(charge))
      faults.push({ field: `${field}.charge`, code: 'duplicate', message: 'is in the list already' });
    seen.add(charge);
    const parsed = priceFromJson(price);
    if (parsed.ok) return [{ field, charge, price: parsed.value, tiers }];
    faults.push(...parsed.faults.map((one) => ({ ...one, field: `${field}.${one.field}` })));
    return [];
  });
};

/** By the rules of price overrides, as which they will stand. */
const priceFaults = async (
  ports: TermsPorts,
  db: Db,
  { planId, currency, startedAt }: DecidedStart['subscription'],
  prices: readonly ReadPrice[],
): Promise<Fault[]> => {
  const faults: Fault[] = [];
  for (const { field, charge, price, tiers } of prices) {
    const one = { price, tiers, chargeCode: charge };
    const found = await standingFaults(ports, db, planId, one, { currency, from: startedAt });
    faults.push(...found.map((fault) => ({ ...fault, field: `${field}.${fault.field}` })));
  }
  return faults;
};

/** As it would be made, by its own rules and those of its prices. Throws with `faults` all that stands against it. */
const judged = async (
  ports: TermsPorts,
  db: Db,
  prices: readonly ReadPrice[],
  coupon: { readonly quoted: QuotedCoupon | undefined; readonly customerId: string; readonly hour: Instant },
  faults: Fault[],
  decide: () => Promise<DecidedStart>,
): Promise<DecidedStart> => {
  const decided = await collecting(faults, decide);
  if (decided) faults.push(...(await priceFaults(ports, db, decided.subscription, prices)));
  const { quoted, customerId, hour } = coupon;
  const buyer = { customerId, currency: decided?.subscription.currency ?? null };
  if (quoted) faults.push(...(await couponFaults(ports, db, quoted, buyer, hour)));
  refuseFaults(faults);
  if (!decided) throw new FailureError('VALIDATION_FAILED');
  return decided;
};

/** In one form, as it is hashed. */
const trialFrom = (given: QuotedTrial): QuotedTrial => {
  const { ends_at: text, days, end_action = 'activate' } = given;
  const endsAt = text === undefined ? undefined : instantFromText(text);
  return {
    ...(text === undefined ? {} : { ends_at: endsAt === undefined ? text : formatInstant(endsAt) }),
    ...(days === undefined ? {} : { days }),
    end_action,
  };
};

const termsFrom = (
  given: Given,
  before: QuoteTerms | undefined,
  prices: QuoteTerms['prices'],
  coupon: QuotedCoupon | undefined,
): QuoteTerms => {
  const { trial, term } = given;
  return {
    seats: given.seats ?? before?.seats ?? 1,
    add_ons: before?.add_ons ?? [],
    prices,
    trial: trial === undefined ? (before?.trial ?? null) : trial && trialFrom(trial as QuotedTrial),
    billing_anchor: given.billing_anchor ?? before?.billing_anchor ?? 'calendar',
    term: term === undefined ? (before?.term ?? null) : term && { unit: term.unit, count: term.count ?? 1 },
    discount: given.discount === undefined ? (before?.discount ?? null) : given.discount,
    memo: given.memo === undefined ? (before?.memo ?? null) : given.memo,
    ...(coupon && { coupon }),
  };
};

export const refusePast = (validUntil: Instant, nowMs: Instant, faults: Fault[]): void => {
  if (validUntil <= nowMs)
    faults.push({ field: 'valid_until', code: 'out_of_range', message: 'must lie ahead: from then on it is expired' });
};

const nowOf = async ({ customers }: TermsPorts, db: Db, customerId: string, hourMs: Instant): Promise<Instant> =>
  (await customers.payer(db, customerId))?.clock?.now ?? hourMs;

/** With what is given, which may be all of it or a part. Throws all that is wrong with it together. */
export const readQuote = async (
  ports: TermsPorts,
  db: Db,
  given: Given,
  customerId: string,
  before: QuoteDraft | undefined,
  at: Asking,
): Promise<QuoteDraft> => {
  const faults: Fault[] = [];
  const prices = readPrices(given.prices ?? [...(before?.terms.prices ?? [])], faults);
  const startsAt =
    given.starts_at === undefined
      ? (before?.startsAt ?? null)
      : (readInstant(given.starts_at ?? undefined, 'starts_at', faults) ?? null);
  const validUntil = readInstant(given.valid_until, 'valid_until', faults) ?? before?.validUntil ?? 0;
  const hour = await nowOf(ports, db, customerId, at.hourMs);
  if (given.valid_until !== undefined && !faults.some(({ field }) => field === 'valid_until'))
    refusePast(validUntil, hour, faults);
  const coupon = await readCoupon(ports, db, given, before?.terms.coupon, faults);
  const quoted = prices.map(({ charge, price, tiers }) => ({ charge, price: priceToJson(price), tiers }));
  const terms = termsFrom(given, before?.terms, quoted, coupon);
  const currency = given.currency === undefined ? (before?.currency ?? null) : given.currency;
  const { customers, catalog } = ports;
  const asked = {
    ...askedOf({ customerId, planId: given.plan ?? before?.planId ?? '', currency, terms, startsAt }),
    ...(given.add_ons ? { add_ons: given.add_ons } : {}),
  };
  const decided = await judged(ports, db, prices, { quoted: coupon, customerId, hour }, faults, () =>
    decideStart({ customers, catalog }, db, asked, at),
  );
  return {
    planId: decided.subscription.planId,
    currency,
    terms: { ...terms, add_ons: addOnsOf(decided, 'draft') },
    startsAt,
    validUntil,
    metadata: given.metadata ?? before?.metadata ?? {},
  };
};

const addOnsOf = ({ subscription }: DecidedStart, as: 'draft' | 'sent'): QuotedAddOn[] =>
  subscription.changes.flatMap((change) =>
    change.kind === 'add_on'
      ? [
          {
            plan_id: change.addOnId,
            plan_version_id: as === 'sent' ? change.planVersionId : null,
            quantity: change.quantity,
          },
        ]
      : [],
  );

/** What of a draft is held from when it is sent: the versions that are active, and its currency. */
export const pinQuote = async (ports: TermsPorts, db: Db, quote: Quote, at: Asking) => {
  const faults: Fault[] = [];
  const prices = readPrices([...quote.terms.prices], faults);
  const hour = quote.clockNow ?? at.hourMs;
  refusePast(quote.validUntil, hour, faults);
  const { coupon: quoted } = quote.terms;
  const coupon = { quoted, customerId: quote.customerId, hour };
  const decided = await judged(ports, db, prices, coupon, faults, () => decideQuoted(ports, db, quote, at));
  const { planVersionId, currency } = decided.subscription;
  const pinned = quoted && { coupon: await pinCoupon(ports, db, quoted) };
  return { planVersionId, currency, terms: { ...quote.terms, add_ons: addOnsOf(decided, 'sent'), ...pinned } };
};
