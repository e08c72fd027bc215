/** `/v1/quotes`: offers to customers, for who makes them. */
import { randomBytes } from 'node:crypto';
import {
  NewQuote,
  NewQuoteDocument,
  QuoteAcceptance,
  QuoteId,
  QuotePatch,
  QuotePatchDocument,
  QuotePreview,
  Quote as QuoteSchema,
  SentQuote,
  WrittenQuote,
} from '#schemas/http/quotes.ts';
import type { Instant } from '#schemas/period.ts';
import { hourOf } from '#schemas/subscription-state.ts';
import { overrideJson } from '../catalog/price-override-routes.ts';
import { discountJson, lastingDiscount } from '../coupons/coupon-json.ts';
import type { Discount } from '../coupons/discounts.postgres.ts';
import type { Db, Done, ObjectChange, Routes } from '../route/define-route.ts';
import { listJson, listSchema } from '../route/lists.ts';
import { created, found } from '../route/resource-fields.ts';
import { lastingJson } from '../subscriptions/subscription-json.ts';
import { lastingQuote, quoteJson } from './quote-json.ts';
import {
  type AcceptedQuote,
  acceptQuote,
  cancelQuote,
  offeredCustomer,
  type QuoteLifePorts,
  requireQuoteAction,
  reviseQuote,
  sendQuote,
  telling,
} from './quote-life.ts';
import { type OfferPorts, quotePreview } from './quote-offer.ts';
import { readQuote } from './quote-terms.ts';
import type { Quote } from './quotes.postgres.ts';

export type QuotePorts = QuoteLifePorts & OfferPorts;

const url = '/v1/quotes';

export const quoteChange = (action: string, before: Quote, after: Quote): ObjectChange => ({
  action: `quote.${action}`,
  objectType: 'quote',
  objectId: after.id,
  before: lastingQuote(before),
  after: lastingQuote(after),
});

const discountChange = (discount: Discount, nowMs: Instant): ObjectChange => ({
  action: 'discount.created',
  objectType: 'discount',
  objectId: discount.id,
  after: lastingDiscount(discountJson(discount, nowMs)),
});

/** An entry for each thing that came of it; none where it was accepted before. */
export const acceptanceChanges = (before: Quote, { quote, made }: AcceptedQuote, nowMs: Instant): ObjectChange[] =>
  made === undefined
    ? []
    : [
        quoteChange('accepted', before, quote),
        {
          action: 'subscription.created',
          objectType: 'subscription',
          objectId: made.subscription.id,
          after: lastingJson(made.subscription),
        },
        ...made.overrides.map((override) => ({
          action: 'price_override.created',
          objectType: 'price_override',
          objectId: override.id,
          after: overrideJson(override),
        })),
        ...(made.discount ? [discountChange(made.discount, nowMs)] : []),
        ...made.changes,
      ];

export const lockedQuote = async (
  { quotes }: Pick<QuotePorts, 'quotes'>,
  db: Db,
  id: string,
  matchVersion: (version: number) => void = () => {},
): Promise<Quote> => {
  const quote = found(await quotes.lockQuote(db, id), 'QUOTE_NOT_FOUND');
  matchVersion(quote.version);
  return quote;
};

const done = (action: string, before: Quote, after: Quote, nowMs: Instant): Done => ({
  body: quoteJson(after, nowMs),
  location: `${url}/${after.id}`,
  changes: [quoteChange(action, before, after)],
});

/** What stands against the subscription that a quote is of. */
export const startFailures = [
  'CUSTOMER_NOT_FOUND',
  'CUSTOMER_ARCHIVED',
  'PLAN_NOT_FOUND',
  'PLAN_IS_ADD_ON',
  'PLAN_IS_NO_ADD_ON',
  'PLAN_NOT_ACTIVE',
  'SUBSCRIPTION_ADD_ON_MISFIT',
  'TEST_CLOCK_NEEDS_SANDBOX',
] as const;

export const acceptFailures = [
  ...startFailures,
  'CUSTOMER_ERASED',
  'QUOTE_STATE_CONFLICT',
  'QUOTE_NOT_ACCEPTABLE',
  'SUBSCRIPTION_ALREADY_ACTIVE',
  'PRICE_OVERRIDE_BILLED',
  'COUPON_NOT_FOUND',
  'PROMOTION_CODE_NOT_FOUND',
  'COUPON_NOT_REDEEMABLE',
] as const;

export const quoteRoutes = ({ get, list, change }: Routes, ports: QuotePorts): void => {
  const { quotes } = ports;
  const tag = 'Quotes';
  const write = { tag, scope: 'write:quotes', rateClass: 'write' } as const;
  const read = { tag, scope: 'read:quotes' } as const;

  change(
    {
      ...write,
      method: 'POST',
      url,
      operation: 'createQuote',
      summary: 'Make a draft of a quote',
      body: NewQuote,
      documentedBody: NewQuoteDocument,
      answers: { 201: WrittenQuote },
      failures: ['CUSTOMER_ERASED', ...startFailures],
    },
    async ({ db, body, caller, nowMs }) => {
      const { customer_id: name, ...given } = body;
      const customer = await offeredCustomer(ports, db, name);
      const at = { hourMs: nowMs, world: caller.world };
      const draft = await readQuote(ports, db, given, customer.id, undefined, at);
      const quote = await quotes.addQuote(db, { ...draft, customerId: customer.id, revisionOf: null }, new Date(nowMs));
      return created('quote', url, quoteJson(quote, nowMs), { lasting: () => lastingQuote(quote) });
    },
  );

  list(
    {
      ...read,
      url,
      operation: 'listQuotes',
      summary: 'List quotes',
      list: quotes.quoteList,
      answers: { 200: listSchema(QuoteSchema) },
      failures: [],
    },
    async ({ db, query, nowMs }) => listJson(query, await quotes.quotes(db, query), (one) => quoteJson(one, nowMs)),
  );

  get(
    {
      ...read,
      url: `${url}/:id`,
      operation: 'getQuote',
      summary: 'Read a quote',
      params: QuoteId,
      changesByItself: true,
      answers: { 200: QuoteSchema },
      failures: ['QUOTE_NOT_FOUND'],
    },
    async ({ db, params, nowMs }) => quoteJson(found(await quotes.quote(db, params.id), 'QUOTE_NOT_FOUND'), nowMs),
  );

  get(
    {
      ...read,
      url: `${url}/:id/preview`,
      operation: 'previewQuote',
      summary: 'What the first invoice of a quote and a whole billing period would be, without usage',
      params: QuoteId,
      answers: { 200: QuotePreview },
      failures: ['QUOTE_NOT_FOUND', 'QUOTE_NOT_ACCEPTABLE', ...startFailures],
    },
    async ({ db, params, caller, nowMs }) => {
      const quote = found(await quotes.quote(db, params.id), 'QUOTE_NOT_FOUND');
      return telling(() => quotePreview(ports, db, quote, { hourMs: nowMs, world: caller.world }));
    },
  );

  change(
    {
      ...write,
      method: 'PATCH',
      url: `${url}/:id`,
      operation: 'updateQuote',
      summary: 'Change a draft of a quote',
      params: QuoteId,
      body: QuotePatch,
      documentedBody: QuotePatchDocument,
      answers: { 200: WrittenQuote },
      failures: ['QUOTE_NOT_FOUND', 'QUOTE_STATE_CONFLICT', 'CUSTOMER_ERASED', ...startFailures],
    },
    async ({ db, params, body, caller, nowMs, matchVersion }) => {
      const before = await lockedQuote(ports, db, params.id, matchVersion);
      requireQuoteAction(before, 'update', hourOf(before, nowMs));
      await offeredCustomer(ports, db, before.customerId);
      const at = { hourMs: nowMs, world: caller.world };
      const draft = await readQuote(ports, db, body, before.customerId, before, at);
      return done('updated', before, await quotes.changeDraft(db, before.id, draft, new Date(nowMs)), nowMs);
    },
  );

  const act = { ...write, method: 'POST', params: QuoteId } as const;
  change(
    {
      ...act,
      url: `${url}/:id/send`,
      operation: 'sendQuote',
      summary: 'Freeze a quote, and make the link by which its customer sees it',
      answers: { 200: SentQuote },
      failures: ['QUOTE_NOT_FOUND', 'QUOTE_STATE_CONFLICT', 'CUSTOMER_ERASED', ...startFailures],
    },
    async ({ db, params, caller, nowMs, matchVersion }) => {
      const before = await lockedQuote(ports, db, params.id, matchVersion);
      const at = { hourMs: nowMs, world: caller.world };
      const { quote, token, replaced } = await sendQuote(ports, db, before, at, randomBytes);
      const { body, changes, ...rest } = done('sent', before, quote, nowMs);
      return {
        ...rest,
        body: { ...(body as object), link: { token, path: `/v1/quote-links/${token}` } },
        changes: [...changes, ...replaced.map((one) => quoteChange('canceled', one.before, one.after))],
      };
    },
  );
  change(
    {
      ...act,
      url: `${url}/:id/accept`,
      operation: 'acceptQuote',
      summary: 'Accept a quote for its customer: the subscription begins',
      body: QuoteAcceptance,
      answers: { 200: WrittenQuote },
      failures: ['QUOTE_NOT_FOUND', ...acceptFailures],
    },
    async ({ db, params, body, caller, nowMs, matchVersion }) => {
      const before = await lockedQuote(ports, db, params.id, matchVersion);
      const at = { hourMs: nowMs, world: caller.world };
      const accepted = await acceptQuote(ports, db, before, body.accepted_by, at);
      const { quote, customer, made } = accepted;
      return {
        ...done('accepted', before, quote, nowMs),
        changes: acceptanceChanges(before, accepted, nowMs),
        isUnchanged: made === undefined,
        // Of one that was erased there is nothing personal left to keep.
        ...(customer.ownKey === undefined ? {} : { personalOf: customer }),
      };
    },
  );
  change(
    {
      ...act,
      url: `${url}/:id/cancel`,
      operation: 'cancelQuote',
      summary: 'Take a quote back that was not accepted',
      answers: { 200: WrittenQuote },
      failures: ['QUOTE_NOT_FOUND', 'QUOTE_STATE_CONFLICT'],
    },
    async ({ db, params, nowMs, matchVersion }) => {
      const before = await lockedQuote(ports, db, params.id, matchVersion);
      return done('canceled', before, await cancelQuote(ports, db, before, nowMs), nowMs);
    },
  );
  change(
    {
      ...act,
      url: `${url}/:id/revise`,
      operation: 'reviseQuote',
      summary: 'Make a new draft of a quote that was sent',
      answers: { 201: WrittenQuote },
      failures: [
        'QUOTE_NOT_FOUND',
        'QUOTE_STATE_CONFLICT',
        'CUSTOMER_NOT_FOUND',
        'CUSTOMER_ERASED',
        'CUSTOMER_ARCHIVED',
      ],
    },
    async ({ db, params, nowMs, matchVersion }) => {
      const quote = await reviseQuote(ports, db, await lockedQuote(ports, db, params.id, matchVersion), nowMs);
      return created('quote', url, quoteJson(quote, nowMs), { lasting: () => lastingQuote(quote) });
    },
  );
};
