/** Quotes in requests and answers: to whom makes them, and to the customer who has the link. */
import { type TSchema, Type } from 'typebox';
import { couponDurations, couponKinds } from '#schemas/coupon.ts';
import { planExample } from '#schemas/http/catalog.ts';
import { customerExample } from '#schemas/http/customers.ts';
import { exampleHead, exampleId } from '#schemas/http/example-parts.ts';
import {
  Code,
  CurrencyCode,
  CustomerName,
  closed,
  Decimal,
  ExternalId,
  formed,
  GivenInstant,
  Instant,
  idOf,
  idParam,
  Metadata,
  Name,
  nullable,
  Period,
  resourceFields,
} from '#schemas/http/fields.ts';
import { carryExample, totalsExample, totalsFields } from '#schemas/http/invoices.ts';
import { meteredChargeExample } from '#schemas/http/plan.ts';
import { intervalSchema } from '#schemas/http/plan-terms.ts';
import { tierCount } from '#schemas/http/price-overrides.ts';
import { InvoiceAhead, PreviewedLine, previewedLineExample } from '#schemas/http/subscription-changes.ts';
import {
  addOnsMax,
  BillingAnchor,
  NewTrial,
  Reason,
  Seats,
  TrialEndAction,
  WantedAddOn,
} from '#schemas/http/subscriptions.ts';
import { toldTo } from '#schemas/http/withheld.ts';
import { anyPriceSchema } from '#schemas/price/price.ts';
import { quoteStates } from '#schemas/quote-state.ts';

const priceExample = { model: 'per_unit', unit_amount: '0.000015', free_units: '1000' };
const newQuoteExample = {
  customer_id: customerExample.external_id,
  plan: planExample.code,
  prices: [{ charge: meteredChargeExample.code, price: priceExample }],
  term: { unit: 'month', count: 12 },
  valid_until: '2040-01-01T00:00:00Z',
};
export const quoteExample = {
  id: exampleId('quo', 40),
  customer_id: customerExample.id,
  plan_id: planExample.id,
  plan_code: planExample.code,
  plan_version_id: null,
  currency: null,
  seats: 1,
  add_ons: [],
  prices: [{ charge: meteredChargeExample.code, price: priceExample, tiers: 'restart' }],
  starts_at: null,
  trial: null,
  billing_anchor: 'calendar',
  term: { unit: 'month', count: 12 },
  discount: null,
  coupon_id: null,
  coupon_code: null,
  promotion_code_id: null,
  memo: null,
  valid_until: '2040-01-01T00:00:00.000Z',
  state: 'draft',
  content_hash: null,
  sent_at: null,
  accepted_at: null,
  accepted_by: null,
  declined_at: null,
  decline_reason: null,
  canceled_at: null,
  subscription_id: null,
  revision_of: null,
  ...exampleHead,
};

export const QuoteId = idParam(quoteExample.id);

/** Each is of another charge. */
const pricesMax = 100;

const Note = formed(
  '^[^\\u0000-\\u0008\\u000b\\u000c\\u000e-\\u001f\\u007f]{1,2000}$',
  '1 to 2,000 characters of text',
);

const quotedPrice = <P extends TSchema>(prefix: '' | 'New', price: P) =>
  Type.Object(
    {
      charge: Type.Unsafe<string>({ ...Code, description: 'Code of a charge of the plan.' }),
      price,
      tiers: prefix === 'New' ? Type.Optional(tierCount) : tierCount,
    },
    {
      ...closed,
      title: `${prefix}QuotedPrice`,
      description: 'Stands in place of the price of a charge, by the rules of price overrides.',
    },
  );

const termsOf = <P extends TSchema>(prices: P) => ({
  plan: Type.Unsafe<string>({ ...Code, description: 'Code or id of a plan; sending takes its active version.' }),
  currency: Type.Optional(nullable(CurrencyCode)),
  seats: Type.Optional(Seats),
  add_ons: Type.Optional(Type.Array(WantedAddOn, { maxItems: addOnsMax })),
  prices: Type.Optional(Type.Array(prices, { maxItems: pricesMax })),
  starts_at: Type.Optional(
    nullable(Type.Unsafe<string>({ ...GivenInstant, description: 'Null or absent: when the quote is accepted.' })),
  ),
  trial: Type.Optional(nullable(NewTrial)),
  billing_anchor: Type.Optional(BillingAnchor),
  term: Type.Optional(nullable(intervalSchema('New'))),
  coupon: Type.Optional(
    nullable(
      Type.Unsafe<string>({
        ...ExternalId,
        description: 'Id or code of a coupon, of which the subscription has a discount once the quote is accepted.',
      }),
    ),
  ),
  promotion_code: Type.Optional(
    nullable(
      Type.Unsafe<string>({ ...ExternalId, description: 'Instead of `coupon`: a promotion code, in whatever case.' }),
    ),
  ),
  discount: Type.Optional(
    nullable(
      Type.Unsafe<string>({ ...Note, description: 'Words that the customer reads; nothing is computed of it.' }),
    ),
  ),
  memo: Type.Optional(nullable(Type.Unsafe<string>({ ...Note, description: 'Words that the customer reads.' }))),
  valid_until: Type.Unsafe<string>({
    ...GivenInstant,
    description: 'From this instant on it can not be accepted any more.',
  }),
  metadata: Type.Optional(Metadata),
});

/** Prices are read by `priceFromJson`, which names every fault at its place; this bounds what comes in. */
const readTerms = termsOf(quotedPrice('New', Type.Unknown()));
const shownTerms = termsOf(quotedPrice('New', anyPriceSchema('New')));

export const NewQuote = Type.Object({ customer_id: CustomerName, ...readTerms }, closed);
export const NewQuoteDocument = Type.Object(
  { customer_id: CustomerName, ...shownTerms },
  {
    ...closed,
    title: 'NewQuote',
    description:
      'What a subscription is to be of. `currency` is by default that of the customer, else the own one of the plan. `term` is how long it lasts at least.',
    examples: [newQuoteExample],
  },
);

const patch = { ...closed, minProperties: 1 } as const;
export const QuotePatch = Type.Object(Type.Partial(Type.Object(readTerms)).properties, patch);
export const QuotePatchDocument = Type.Object(Type.Partial(Type.Object(shownTerms)).properties, {
  ...patch,
  title: 'QuotePatch',
  description: 'Of a draft. A field that is left out stays; null clears it.',
  examples: [{ seats: 5 }],
});

/** As it was asked for: days are counted from the start. */
const QuotedTrial = Type.Object(
  { ends_at: Type.Optional(Instant), days: Type.Optional(Type.Integer({ minimum: 1 })), end_action: TrialEndAction },
  { ...closed, title: 'QuotedTrial' },
);

const QuotedAddOn = Type.Object(
  {
    plan_id: idOf('pln'),
    plan_code: Code,
    plan_version_id: nullable(idOf('plv')),
    quantity: Type.Integer({ minimum: 1 }),
  },
  { ...closed, title: 'QuotedAddOn' },
);

const QuoteStateName = Type.Enum([...quoteStates], {
  title: 'QuoteState',
  description: 'One that was sent is `expired` from `valid_until` on: docs/quotes.md.',
});
const ContentHash = Type.String({
  pattern: '^[0-9a-f]{64}$',
  description: 'SHA-256 of all that was offered, since it was sent.',
});

const replyFields = {
  accepted_by: toldTo('read:quotes', nullable(Name)),
  decline_reason: toldTo('read:quotes', nullable(Reason)),
};

const quoteFields = {
  id: idOf('quo'),
  customer_id: idOf('cus'),
  plan_id: idOf('pln'),
  plan_code: Code,
  plan_version_id: nullable(
    Type.Unsafe<string>({ ...idOf('plv'), description: 'The version that was active when the quote was sent.' }),
  ),
  currency: nullable(CurrencyCode),
  seats: Seats,
  add_ons: Type.Array(QuotedAddOn),
  prices: Type.Array(quotedPrice('', anyPriceSchema(''))),
  starts_at: nullable(Instant),
  trial: nullable(QuotedTrial),
  billing_anchor: BillingAnchor,
  term: nullable(intervalSchema('')),
  discount: nullable(Note),
  coupon_id: nullable(
    Type.Unsafe<string>({ ...idOf('cpn'), description: 'Of which the subscription has a discount from its begin on.' }),
  ),
  coupon_code: nullable(Type.String()),
  promotion_code_id: nullable(Type.Unsafe<string>({ ...idOf('prm'), description: 'By which the coupon is redeemed.' })),
  memo: nullable(Note),
  valid_until: Instant,
  state: QuoteStateName,
  content_hash: nullable(ContentHash),
  sent_at: nullable(Instant),
  accepted_at: nullable(Instant),
  declined_at: nullable(Instant),
  canceled_at: nullable(Instant),
  subscription_id: nullable(idOf('sub')),
  revision_of: nullable(idOf('quo')),
};

export const Quote = Type.Object(
  { ...quoteFields, ...replyFields, ...resourceFields },
  { ...closed, title: 'Quote', examples: [quoteExample] },
);

/** In an export, which has it for holders of `read:quotes` alone. */
export const ExportedQuote = Type.Object(
  { ...quoteFields, accepted_by: nullable(Name), decline_reason: nullable(Reason), ...resourceFields },
  { ...closed, title: 'ExportedQuote', examples: [quoteExample] },
);

const { accepted_by: _by, decline_reason: _why, ...writtenExample } = quoteExample;
const writtenFields = {
  ...quoteFields,
  ...Type.Partial(Type.Object(replyFields)).properties,
  ...resourceFields,
};

/** The answer to a change. */
export const WrittenQuote = Type.Object(writtenFields, {
  ...closed,
  title: 'WrittenQuote',
  description: 'A quote; to a key without `read:quotes`, without the fields that say `x-needs-scope`.',
  examples: [writtenExample],
});

const tokenExample = 'mr_quote_0123456789abcdefghijABCDEFGHIJ0123456789abc';
const sentExample = {
  ...writtenExample,
  plan_version_id: planExample.plan_version_id,
  currency: planExample.currency,
  state: 'sent',
  content_hash: '0'.repeat(64),
  sent_at: exampleHead.created_at,
  version: 2,
};

/** The one answer that has the token. */
export const SentQuote = Type.Object(
  {
    ...writtenFields,
    link: Type.Object(
      {
        token: Type.String({
          pattern: '^mr_quote_[A-Za-z0-9_-]{43}$',
          description: 'Shown here and never again: whoever has it sees the quote and can accept it.',
        }),
        path: Type.String({ description: 'Of the API, where the quote is for who has the token.' }),
      },
      { ...closed, title: 'QuoteLink' },
    ),
  },
  {
    ...closed,
    title: 'SentQuote',
    examples: [{ ...sentExample, link: { token: tokenExample, path: `/v1/quote-links/${tokenExample}` } }],
  },
);

export const QuoteAcceptance = Type.Object(
  { accepted_by: Type.Unsafe<string>({ ...Name, description: 'The name of who accepts; kept sealed.' }) },
  { ...closed, title: 'QuoteAcceptance', examples: [{ accepted_by: 'Ada Lovelace' }] },
);

export const QuoteRefusal = Type.Object(
  { reason: Type.Optional(Reason) },
  { ...closed, title: 'QuoteRefusal', examples: [{ reason: 'too expensive' }] },
);

const lines = Type.Array(PreviewedLine);
const previewExample = {
  currency: 'USD',
  first_invoice: {
    due_at: previewedLineExample.due_at,
    lines: [previewedLineExample],
    subtotal: '40.00',
    ...totalsExample('40.00'),
    ...carryExample,
  },
  full_period: {
    period: previewedLineExample.period,
    lines: [previewedLineExample],
    subtotal: '40.00',
    ...totalsExample('40.00'),
  },
};
const previewFields = {
  currency: CurrencyCode,
  first_invoice: nullable(InvoiceAhead),
  full_period: Type.Object(
    { period: Period, lines, subtotal: Decimal, ...totalsFields },
    {
      ...closed,
      title: 'QuotedPeriod',
      description:
        'The first billing period that is charged whole: its lines with the discounts and taxes of the invoices that they are on.',
    },
  ),
};
export const QuotePreview = Type.Object(previewFields, {
  ...closed,
  title: 'QuotePreview',
  description:
    "What the subscription charges without usage, by the rater's own code: flat charges, and those of seats and add-ons, at the prices of the quote. Prices in credits, a minimum commitment and price overrides that stand are no part of it. Where the quote starts when it is accepted, that is now. The first invoice is null where the subscription ends with its trial.",
  examples: [previewExample],
});

export const QuoteLinkToken = Type.Object(
  {
    token: Type.String({
      maxLength: 512,
      description: 'The token of the link.',
      examples: [tokenExample],
    }),
  },
  closed,
);

const OfferedCharge = Type.Object(
  { code: Code, name: Type.String(), price: anyPriceSchema('') },
  { ...closed, title: 'OfferedCharge' },
);

const OfferedCoupon = Type.Object(
  {
    name: Name,
    kind: Type.Enum([...couponKinds], { title: 'OfferedCouponKind' }),
    percentage: nullable(Decimal),
    amount: nullable(Decimal),
    currency: nullable(CurrencyCode),
    free_units: nullable(Decimal),
    duration: Type.Enum([...couponDurations], { title: 'OfferedCouponDuration' }),
    duration_periods: nullable(Type.Integer({ minimum: 1 })),
    expires_at: nullable(Instant),
  },
  { ...closed, title: 'OfferedCoupon', description: 'What is taken off.' },
);

/** What the customer sees. */
export const QuoteOffer = Type.Object(
  {
    state: QuoteStateName,
    plan_name: Type.String(),
    currency: CurrencyCode,
    charges: Type.Array(OfferedCharge, { description: 'Of the plan, at the prices of the quote.' }),
    seats: Seats,
    add_ons: Type.Array(
      Type.Object(
        { name: Type.String(), quantity: Type.Integer({ minimum: 1 }), charges: Type.Array(OfferedCharge) },
        { ...closed, title: 'OfferedAddOn' },
      ),
    ),
    starts_at: nullable(Instant),
    trial: nullable(QuotedTrial),
    term: nullable(intervalSchema('')),
    discount: nullable(Note),
    coupon: nullable(OfferedCoupon),
    memo: nullable(Note),
    valid_until: Instant,
    content_hash: ContentHash,
    sent_at: Instant,
    accepted_at: nullable(Instant),
    declined_at: nullable(Instant),
    subscription_id: nullable(idOf('sub')),
    preview: nullable(QuotePreview),
  },
  {
    ...closed,
    title: 'QuoteOffer',
    description: 'A quote as the customer sees it who has the link.',
    examples: [
      {
        state: 'sent',
        plan_name: planExample.name,
        currency: planExample.currency,
        charges: [{ code: meteredChargeExample.code, name: meteredChargeExample.name, price: priceExample }],
        seats: 1,
        add_ons: [],
        starts_at: null,
        trial: null,
        term: quoteExample.term,
        discount: null,
        coupon: null,
        memo: null,
        valid_until: quoteExample.valid_until,
        content_hash: sentExample.content_hash,
        sent_at: sentExample.sent_at,
        accepted_at: null,
        declined_at: null,
        subscription_id: null,
        preview: previewExample,
      },
    ],
  },
);
