/**
 * The use cases of a quote's life: sent, accepted, declined, canceled, revised. Each is under the lock of its row, so
 * of two at once the second sees what the first did.
 */
import assert from 'node:assert/strict';
import { FailureError } from '#schemas/failures.ts';
import { formatInstant } from '#schemas/instant.ts';
import type { Instant } from '#schemas/period.ts';
import { newQuoteLinkToken } from '#schemas/quote-link.ts';
import { allowedQuoteActions, type QuoteAction, type QuoteLife, quoteStateAt } from '#schemas/quote-state.ts';
import { hourOf } from '#schemas/subscription-state.ts';
import { addOverride, type OverridePorts } from '../catalog/override-price.ts';
import type { PriceOverride } from '../catalog/price-overrides.postgres.ts';
import type { Discount } from '../coupons/discounts.postgres.ts';
import type { RedeemPorts } from '../coupons/redeem-coupon.ts';
import { customerJson } from '../customers/customer-routes.ts';
import type { Customer, CustomerStore } from '../customers/customers.postgres.ts';
import type { Db, ObjectChange } from '../route/define-route.ts';
import { found } from '../route/resource-fields.ts';
import type { StartPorts } from '../subscriptions/start-subscription.ts';
import type { Subscription } from '../subscriptions/subscriptions.postgres.ts';
import { quoteContentHash } from './quote-content.ts';
import { type Asking, decideQuoted, pinnedCatalog, pinQuote, type TermsPorts } from './quote-terms.ts';
import { redeemQuoted } from './quoted-coupon.ts';
import type { Quote, QuoteReply, QuoteStore } from './quotes.postgres.ts';

export type QuoteLifePorts = TermsPorts &
  Pick<OverridePorts, 'priceOverrides'> & {
    readonly quotes: QuoteStore;
    readonly customers: Pick<CustomerStore, 'payer' | 'customer' | 'changeCustomer' | 'customerId'>;
    readonly subscriptions: StartPorts['subscriptions'];
    readonly coupons: RedeemPorts['coupons'];
    readonly promotionCodes: RedeemPorts['promotionCodes'];
    readonly discounts: RedeemPorts['discounts'];
    /** What is kept of a token. */
    readonly hashKey: (key: string) => Buffer;
  };

export const requireQuoteAction = (quote: QuoteLife, action: QuoteAction, nowMs: Instant): void => {
  const allowed = allowedQuoteActions(quote, nowMs);
  if (allowed.includes(action)) return;
  const can = allowed.length > 0 ? `what can be done now is ${allowed.join(', ')}` : 'nothing can be done with it';
  throw new FailureError('QUOTE_STATE_CONFLICT', `The quote is ${quoteStateAt(quote, nowMs)}: ${can}.`);
};

/** An erased customer is archived for good, and is told to be erased. */
export const offeredCustomer = async (
  { customers }: Pick<QuoteLifePorts, 'customers'>,
  db: Db,
  idOrName: string,
): Promise<Customer> => {
  const customer = found(await customers.customer(db, idOrName), 'CUSTOMER_NOT_FOUND');
  if (customer.erasedAt !== undefined) throw new FailureError('CUSTOMER_ERASED');
  if (customer.archivedAt !== undefined) throw new FailureError('CUSTOMER_ARCHIVED');
  return customer;
};

type Replaced = { readonly before: Quote; readonly after: Quote };

/**
 * The other revisions of the same offer that could still be accepted are canceled: one of them stands at a time. The
 * first of the family is locked before the others are looked at, so of two that are sent at once the second cancels
 * the first.
 */
const replaced = async ({ quotes }: QuoteLifePorts, db: Db, draft: Quote, nowMs: Instant): Promise<Replaced[]> => {
  const others: Replaced[] = [];
  for (const id of await quotes.lockFamily(db, draft)) {
    const before = found(await quotes.lockQuote(db, id), 'QUOTE_NOT_FOUND');
    const state = quoteStateAt(before, nowMs);
    if (state === 'accepted')
      throw new FailureError(
        'QUOTE_STATE_CONFLICT',
        `The quote ${before.id}, of which this one is a revision too, is accepted: what can be done now is cancel.`,
      );
    if (state !== 'sent') continue;
    const after = await quotes.settleQuote(db, before, { state: 'canceled' }, new Date(nowMs));
    others.push({ before, after });
  }
  return others;
};

export type SentQuote = {
  readonly quote: Quote;
  readonly token: string;
  readonly replaced: readonly Replaced[];
};

/** From then on nothing of it changes. The token is given here alone. */
export const sendQuote = async (
  ports: QuoteLifePorts,
  db: Db,
  draft: Quote,
  at: Asking,
  randomBytes: (bytes: number) => Buffer,
): Promise<SentQuote> => {
  const nowMs = hourOf(draft, at.hourMs);
  requireQuoteAction(draft, 'send', nowMs);
  await offeredCustomer(ports, db, draft.customerId);
  const pinned = await pinQuote(ports, db, draft, at);
  const others = await replaced(ports, db, draft, nowMs);
  const token = newQuoteLinkToken(randomBytes);
  const contentHash = quoteContentHash({ ...draft, ...pinned });
  const sent = { ...pinned, contentHash, linkHash: ports.hashKey(token) };
  return {
    quote: await ports.quotes.sendQuote(db, draft.id, sent, new Date(nowMs)),
    token,
    replaced: others,
  };
};

/** A customer, and how its key came to be where it had none. */
type Keyed = { readonly customer: Customer; readonly changes: readonly ObjectChange[] };

/** What a customer says is sealed by its own key, which those from before there were such keys are given here. */
const keyedCustomer = async ({ customers }: QuoteLifePorts, db: Db, id: string, now: Date): Promise<Keyed> => {
  const customer = found(await customers.customer(db, id, 'lock'), 'CUSTOMER_NOT_FOUND');
  if (customer.erasedAt !== undefined) throw new FailureError('CUSTOMER_ERASED');
  if (customer.ownKey !== undefined) return { customer, changes: [] };
  const after = await customers.changeCustomer(db, customer, customer, now);
  const change = { action: 'customer.updated', objectType: 'customer', objectId: id };
  return {
    customer: after,
    changes: [{ ...change, before: customerJson(customer), after: customerJson(after) }],
  };
};

export type AcceptedQuote = {
  readonly quote: Quote;
  readonly customer: Customer;
  /** Undefined where it was accepted before: nothing was done. */
  readonly made:
    | {
        readonly subscription: Subscription;
        readonly overrides: readonly PriceOverride[];
        readonly discount: Discount | undefined;
        readonly changes: readonly ObjectChange[];
      }
    | undefined;
};

/** What was valid when it was sent is refused now: the caller has nothing in his request to put right. */
export const telling = async <T>(work: () => Promise<T>): Promise<T> => {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof FailureError) || error.code !== 'VALIDATION_FAILED') throw error;
    const faults = (error.faults ?? []).map(({ field, message }) => `${field} ${message}`);
    throw new FailureError('QUOTE_NOT_ACCEPTABLE', `${faults.join('; ')}.`);
  }
};

/** Each stands from the start of the subscription on, and is a price override like any. */
const standPrices = async (
  ports: QuoteLifePorts,
  db: Db,
  quote: Quote,
  { currency, startedAt }: Subscription,
  nowMs: Instant,
): Promise<PriceOverride[]> => {
  const { priceOverrides, sourceRows, customers } = ports;
  const pinned = { priceOverrides, sourceRows, customers, catalog: pinnedCatalog(ports.catalog, quote) };
  const overrides: PriceOverride[] = [];
  for (const { charge, price, tiers } of quote.terms.prices) {
    const body = {
      plan: quote.planId,
      charge,
      customer_id: quote.customerId,
      currency: currency as never,
      price,
      tiers,
      effective_from: formatInstant(startedAt),
    };
    overrides.push(await addOverride(pinned, db, body, nowMs));
  }
  return overrides;
};

/**
 * Once: whoever accepts it again is told what came of it. The order of effects, in the transaction of the request and
 * under the lock of the quote:
 *
 *   1. the subscription begins, by the rules of every subscription, in the versions that the quote holds;
 *   2. its prices stand, as price overrides of this customer from its start on;
 *   3. its coupon is redeemed, under the lock of that, for the subscription;
 *   4. the quote is accepted, and names it.
 *
 * Where one of them is refused nothing is done, and the quote can still be accepted.
 */
export const acceptQuote = async (
  ports: QuoteLifePorts,
  db: Db,
  quote: Quote,
  acceptedBy: string,
  at: Asking,
): Promise<AcceptedQuote> => {
  const nowMs = hourOf(quote, at.hourMs);
  if (quote.state === 'accepted') {
    const customer = found(await ports.customers.customer(db, quote.customerId), 'CUSTOMER_NOT_FOUND');
    return { quote, customer, made: undefined };
  }
  requireQuoteAction(quote, 'accept', nowMs);
  assert.equal(quoteContentHash(quote), quote.contentHash, `what ${quote.id} offers is not what was sent`);
  const now = new Date(nowMs);
  await offeredCustomer(ports, db, quote.customerId);
  return telling(async () => {
    const decided = await decideQuoted(ports, db, quote, { ...at, lock: 'lock' });
    const { customer, changes } = await keyedCustomer(ports, db, quote.customerId, now);
    const subscription = found(
      await ports.subscriptions.addSubscription(db, decided.subscription, now),
      'SUBSCRIPTION_ALREADY_ACTIVE',
    );
    const overrides = await standPrices(ports, db, quote, subscription, nowMs);
    const { coupon } = quote.terms;
    const discount = coupon && (await redeemQuoted(ports, db, coupon, subscription, { hour: nowMs, now }));
    const reply: QuoteReply = { accepted_by: acceptedBy };
    const settlement = { state: 'accepted', subscriptionId: subscription.id, reply, ownKey: customer.ownKey } as const;
    const accepted = await ports.quotes.settleQuote(db, quote, settlement, now);
    return { quote: accepted, customer, made: { subscription, overrides, discount, changes } };
  });
};

export type DeclinedQuote = {
  readonly quote: Quote;
  readonly customer: Customer;
  readonly changes: readonly ObjectChange[];
};

export const declineQuote = async (
  ports: QuoteLifePorts,
  db: Db,
  quote: Quote,
  reason: string | undefined,
  at: Asking,
): Promise<DeclinedQuote> => {
  const nowMs = hourOf(quote, at.hourMs);
  requireQuoteAction(quote, 'decline', nowMs);
  const now = new Date(nowMs);
  const { customer, changes } = await keyedCustomer(ports, db, quote.customerId, now);
  const reply = reason === undefined ? {} : { reply: { reason }, ownKey: customer.ownKey };
  const settled = await ports.quotes.settleQuote(db, quote, { state: 'declined', ...reply }, now);
  return { quote: settled, customer, changes };
};

export const cancelQuote = async (
  { quotes }: Pick<QuoteLifePorts, 'quotes'>,
  db: Db,
  quote: Quote,
  hourMs: Instant,
): Promise<Quote> => {
  const nowMs = hourOf(quote, hourMs);
  requireQuoteAction(quote, 'cancel', nowMs);
  return quotes.settleQuote(db, quote, { state: 'canceled' }, new Date(nowMs));
};

/** A draft of the same, without the versions of then. */
export const reviseQuote = async (
  ports: Pick<QuoteLifePorts, 'quotes' | 'customers'>,
  db: Db,
  quote: Quote,
  hourMs: Instant,
): Promise<Quote> => {
  requireQuoteAction(quote, 'revise', hourOf(quote, hourMs));
  await offeredCustomer(ports, db, quote.customerId);
  const { customerId, planId, currency, startsAt, validUntil, metadata } = quote;
  const addOns = quote.terms.add_ons.map((one) => ({ ...one, plan_version_id: null }));
  const coupon = quote.terms.coupon && { coupon: { ...quote.terms.coupon, offer: null } };
  const terms = { ...quote.terms, add_ons: addOns, ...coupon };
  const draft = { customerId, planId, currency, terms, startsAt, validUntil, metadata, revisionOf: quote.id };
  return ports.quotes.addQuote(db, draft, new Date(hourMs));
};
