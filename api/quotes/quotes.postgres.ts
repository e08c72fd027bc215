/** Quotes: rows of PostgreSQL, whose replies are sealed, as quotes. */
import assert from 'node:assert/strict';
import { newId } from '#platform/process/ids.ts';
import type { Place, Vault } from '#platform/secrets/vault.ts';
import type { Interval } from '#schemas/interval.ts';
import type { Instant } from '#schemas/period.ts';
import type { QuoteContent, QuotedPrice, QuoteTerms } from '#schemas/quote.ts';
import { quoteStates, type StoredQuoteState } from '#schemas/quote-state.ts';
import type { Db } from '../route/define-route.ts';
import { listRows } from '../route/list-rows.postgres.ts';
import { customerFilter, defineList, type ListPage } from '../route/lists.ts';
import { headFromRow, type ResourceHead, type ResourceRow } from '../route/resource-fields.ts';

/** What a customer said of a quote; nothing is left of it once the customer is erased. */
export type QuoteReply = { readonly accepted_by?: string; readonly reason?: string };

export type Quote = ResourceHead &
  QuoteContent & {
    readonly id: string;
    readonly planCode: string;
    readonly addOnCodes: ReadonlyMap<string, string>;
    readonly state: StoredQuoteState;
    readonly contentHash: string | null;
    readonly sentAt: Instant | null;
    readonly acceptedAt: Instant | null;
    readonly declinedAt: Instant | null;
    readonly canceledAt: Instant | null;
    readonly subscriptionId: string | null;
    readonly revisionOf: string | null;
    readonly reply: QuoteReply;
    /** The hour of the test clock that its customer lives by; null where that is the hour of all. */
    readonly clockNow: Instant | null;
  };

export type QuoteDraft = Pick<Quote, 'planId' | 'currency' | 'terms' | 'startsAt' | 'validUntil' | 'metadata'>;
export type NewQuote = QuoteDraft & Pick<Quote, 'customerId' | 'revisionOf'>;

/** What a draft gets when it is sent. */
export type SentContent = {
  readonly planVersionId: string;
  readonly currency: string;
  readonly terms: QuoteTerms;
  readonly contentHash: string;
  readonly linkHash: Buffer;
};

/** What becomes of it at last. */
export type Settlement = {
  readonly state: 'accepted' | 'declined' | 'canceled';
  readonly subscriptionId?: string;
  readonly reply?: QuoteReply;
  /** That of the customer, as it is kept; where there is a reply. */
  readonly ownKey?: Buffer | undefined;
};

type QuoteRow = ResourceRow & {
  id: string;
  customer_id: string;
  plan_id: string;
  plan_code: string;
  plan_version_id: string | null;
  add_on_codes: Record<string, string> | null;
  currency: string | null;
  terms: QuoteTerms;
  starts_at: Date | null;
  valid_until: Date;
  state: StoredQuoteState;
  content_hash: Buffer | null;
  sent_at: Date | null;
  accepted_at: Date | null;
  declined_at: Date | null;
  canceled_at: Date | null;
  subscription_id: string | null;
  revision_of: string | null;
  personal: Buffer | null;
  wrapped: Buffer | null;
  clock_now: Date | null;
};

const clockNow =
  '(SELECT t.now_at FROM customers c JOIN test_clocks t ON t.id = c.test_clock_id WHERE c.id = q.customer_id)';
const columns = `q.id, q.customer_id, q.plan_id, p.code AS plan_code, q.plan_version_id, q.currency, q.terms,
  q.starts_at, q.valid_until, q.state, q.content_hash, q.sent_at, q.accepted_at, q.declined_at, q.canceled_at,
  q.subscription_id, q.revision_of, q.personal, k.wrapped, q.metadata, q.version, q.created_at, q.updated_at,
  ${clockNow} AS clock_now,
  (SELECT json_object_agg(o.id, o.code) FROM json_array_elements(q.terms -> 'add_ons') a
    JOIN plans o ON o.id = a ->> 'plan_id') AS add_on_codes`;
const from = `quotes q JOIN plans p ON p.id = q.plan_id
  LEFT JOIN customer_keys k ON k.organization_id = q.organization_id AND k.customer_id = q.customer_id`;

/** The hour of each: that of the test clock of its customer, where it has one. */
const hour = `coalesce(${clockNow}, clock_timestamp())`;

/** As `quoteStateAt` has it, of the states that go by the hour; others are as they are written down. */
const statesByHour: Readonly<Record<string, string>> = {
  sent: `q.state = 'sent' AND q.valid_until > ${hour}`,
  expired: `q.state = 'sent' AND q.valid_until <= ${hour}`,
};
const stateIs = (value: string, text: string): string => {
  const byHour = statesByHour[text];
  return byHour === undefined ? `q.state = ${value}` : `(${value}::text IS NOT NULL AND ${byHour})`;
};

/** Of the quote $3: itself, what it revises, and so on to the first. All are of one customer, whose index is used. */
const ancestors = `own AS MATERIALIZED (
    SELECT id, revision_of, state FROM quotes WHERE organization_id = $1 AND customer_id = $2),
  ancestors AS (
    SELECT id, revision_of, state FROM own WHERE id = $3
    UNION ALL SELECT q.id, q.revision_of, q.state FROM own q JOIN ancestors a ON q.id = a.revision_of)`;

const quoteList = defineList({
  name: 'quotes',
  columns,
  from,
  countFrom: 'quotes q',
  id: 'q.id',
  organization: 'q.organization_id',
  sorts: { created_at: { column: 'q.created_at', type: 'timestamptz' } },
  filters: {
    customer_id: customerFilter('q.customer_id'),
    state: { column: 'q.state', choices: quoteStates, test: stateIs },
  },
  times: { created_at: 'q.created_at', valid_until: 'q.valid_until' },
});

const toTime = (instant: Instant | null): Date | null => (instant === null ? null : new Date(instant));
const fromTime = (time: Date | null): Instant | null => time?.getTime() ?? null;

const placeOf = (organizationId: string, id: string, customerId: string, own: Buffer | undefined): Place => ({
  organizationId,
  table: 'quotes',
  column: 'personal',
  row: id,
  key: { kind: 'customer', customerId, own },
});

export const createQuoteStore = (vault: Pick<Vault, 'seal' | 'openMany'>) => {
  /** What was sealed by a key that is gone is gone, too. */
  const opened = async (db: Db, rows: readonly QuoteRow[]): Promise<Quote[]> => {
    const sealed = rows.flatMap(({ id, customer_id, personal, wrapped }) =>
      personal && wrapped ? [{ place: placeOf(db.organizationId, id, customer_id, wrapped), sealed: personal }] : [],
    );
    const clear = (await vault.openMany(db, sealed)).values();
    return rows.map((row) => ({
      id: row.id,
      customerId: row.customer_id,
      planId: row.plan_id,
      planCode: row.plan_code,
      planVersionId: row.plan_version_id,
      addOnCodes: new Map(Object.entries(row.add_on_codes ?? {})),
      currency: row.currency,
      terms: row.terms,
      startsAt: fromTime(row.starts_at),
      validUntil: row.valid_until.getTime(),
      state: row.state,
      contentHash: row.content_hash?.toString('hex') ?? null,
      sentAt: fromTime(row.sent_at),
      acceptedAt: fromTime(row.accepted_at),
      declinedAt: fromTime(row.declined_at),
      canceledAt: fromTime(row.canceled_at),
      subscriptionId: row.subscription_id,
      revisionOf: row.revision_of,
      reply: row.personal && row.wrapped ? JSON.parse((clear.next().value as Buffer).toString()) : {},
      clockNow: fromTime(row.clock_now),
      ...headFromRow(row),
    }));
  };
  const quoteOf = async (db: Db, id: string): Promise<Quote | undefined> => {
    const { rows } = await db.query<QuoteRow>(
      `SELECT ${columns} FROM ${from} WHERE q.organization_id = $1 AND q.id = $2`,
      [db.organizationId, id],
    );
    return (await opened(db, rows))[0];
  };
  const written = async (db: Db, id: string): Promise<Quote> => (await quoteOf(db, id)) as Quote;

  return {
    quoteList,
    quote: quoteOf,
    /** As it is when its row is locked. */
    lockQuote: async (db: Db, id: string): Promise<Quote | undefined> => {
      await db.query('SELECT 1 FROM quotes WHERE organization_id = $1 AND id = $2 FOR NO KEY UPDATE', [
        db.organizationId,
        id,
      ]);
      return quoteOf(db, id);
    },
    /** The others that are revisions of the same first quote and were sent, under the lock of that first one. */
    lockFamily: async (db: Db, { id, customerId, revisionOf }: Quote): Promise<string[]> => {
      if (revisionOf === null) return [];
      const values = [db.organizationId, customerId, id];
      const { rows: firsts } = await db.query<{ id: string }>(
        `WITH RECURSIVE ${ancestors} SELECT id FROM ancestors WHERE revision_of IS NULL`,
        values,
      );
      const { rows: locked } = await db.query<{ id: string }>(
        'SELECT id FROM quotes WHERE organization_id = $1 AND id = $2 FOR NO KEY UPDATE',
        [db.organizationId, firsts[0]?.id],
      );
      assert.equal(locked.length, 1, `the first quote of ${id} is there`);
      // Another statement, which sees what whoever had the lock has done.
      const { rows } = await db.query<{ id: string }>(
        `WITH RECURSIVE ${ancestors}, family AS (
           SELECT id, state FROM ancestors WHERE revision_of IS NULL
           UNION ALL SELECT q.id, q.state FROM own q JOIN family f ON q.revision_of = f.id)
         SELECT id FROM family WHERE id <> $3 AND state IN ('sent', 'accepted') ORDER BY id`,
        values,
      );
      return rows.map((row) => row.id);
    },
    addQuote: async (db: Db, quote: NewQuote, now: Date): Promise<Quote> => {
      const id = newId('quo');
      await db.query(
        `INSERT INTO quotes (id, organization_id, customer_id, plan_id, currency, terms, starts_at, valid_until, state,
           revision_of, metadata, version, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'draft', $9, $10, 1, $11, $11)`,
        [
          id,
          db.organizationId,
          quote.customerId,
          quote.planId,
          quote.currency,
          JSON.stringify(quote.terms),
          toTime(quote.startsAt),
          new Date(quote.validUntil),
          quote.revisionOf,
          quote.metadata,
          now,
        ],
      );
      return written(db, id);
    },
    changeDraft: async (db: Db, id: string, draft: QuoteDraft, now: Date): Promise<Quote> => {
      await db.query(
        `UPDATE quotes SET plan_id = $3, currency = $4, terms = $5, starts_at = $6, valid_until = $7, metadata = $8,
           version = version + 1, updated_at = $9
         WHERE organization_id = $1 AND id = $2`,
        [
          db.organizationId,
          id,
          draft.planId,
          draft.currency,
          JSON.stringify(draft.terms),
          toTime(draft.startsAt),
          new Date(draft.validUntil),
          draft.metadata,
          now,
        ],
      );
      return written(db, id);
    },
    sendQuote: async (db: Db, id: string, sent: SentContent, now: Date): Promise<Quote> => {
      await db.query(
        `UPDATE quotes SET state = 'sent', plan_version_id = $3, currency = $4, terms = $5, content_hash = $6,
           link_hash = $7, sent_at = $8, version = version + 1, updated_at = $8
         WHERE organization_id = $1 AND id = $2`,
        [
          db.organizationId,
          id,
          sent.planVersionId,
          sent.currency,
          JSON.stringify(sent.terms),
          Buffer.from(sent.contentHash, 'hex'),
          sent.linkHash,
          now,
        ],
      );
      return written(db, id);
    },
    settleQuote: async (
      db: Db,
      { id, customerId }: Quote,
      { state, subscriptionId, reply, ownKey }: Settlement,
      now: Date,
    ): Promise<Quote> => {
      const place = placeOf(db.organizationId, id, customerId, ownKey);
      const personal = reply && (await vault.seal(db, place, Buffer.from(JSON.stringify(reply))));
      await db.query(
        `UPDATE quotes SET state = $3, subscription_id = $4, personal = $5,
           accepted_at = CASE WHEN $3 = 'accepted' THEN $6::timestamptz END,
           declined_at = CASE WHEN $3 = 'declined' THEN $6::timestamptz END,
           canceled_at = CASE WHEN $3 = 'canceled' THEN $6::timestamptz END,
           version = version + 1, updated_at = $6
         WHERE organization_id = $1 AND id = $2`,
        [db.organizationId, id, state, subscriptionId ?? null, personal ?? null, now],
      );
      return written(db, id);
    },
    quotes: async (db: Db, page: ListPage) => {
      const { rows, ...rest } = await listRows<QuoteRow>(db, quoteList, db.organizationId, page);
      return { ...rest, rows: await opened(db, rows) };
    },
    /** Prices of a plan that customers may still accept. */
    offeredPrices: async (
      db: Db,
      planId: string,
    ): Promise<{ readonly id: string; readonly prices: readonly QuotedPrice[] }[]> => {
      const { rows } = await db.query<{ id: string; prices: QuotedPrice[] }>(
        `SELECT q.id, q.terms -> 'prices' AS prices FROM quotes q
         WHERE q.organization_id = $1 AND q.plan_id = $2 AND q.state = 'sent' AND q.valid_until > ${hour}
         ORDER BY q.id`,
        [db.organizationId, planId],
      );
      return rows;
    },
    /** How long a subscription lasts at least that came of a quote. */
    contractTerm: async (db: Db, subscriptionId: string): Promise<Interval | null> => {
      const { rows } = await db.query<{ term: Interval | null }>(
        "SELECT terms -> 'term' AS term FROM quotes WHERE organization_id = $1 AND subscription_id = $2",
        [db.organizationId, subscriptionId],
      );
      return rows[0]?.term ?? null;
    },
  };
};

export type QuoteStore = ReturnType<typeof createQuoteStore>;
