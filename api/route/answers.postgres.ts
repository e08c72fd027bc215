/**
 * Idempotency: the answer to a POST is kept in the transaction of its work, under the caller's Idempotency-Key. So the
 * work and its answer are there together or not at all, whatever dies: before the commit nothing happened, after it a
 * repeat gets the same answer. The order of effects, all in one transaction:
 *
 *   1. take the lock of the key; another request that holds it is still at work: 409;
 *   2. look the key up: there with the same request -> its answer, with another one -> 422;
 *   3. do the work, with its audit entries; a refusal (4xx) undoes the work, and is an answer like any other;
 *   4. keep the answer, sealed, as it may hold a secret or personal fields; these by the key of their customer, so that
 *      they are gone with it.
 *
 * The lock is asked for in a statement of its own: the look-up then sees whatever the last holder committed. Both go to
 * PostgreSQL with the BEGIN before them, and with the savepoint that a refusal goes back to, in one round trip; what is
 * kept goes with the entries before it and the COMMIT behind it in another one. Rejected: recovery points (brandur's
 * rocket-rides); all effects lie in one database, so one transaction is enough.
 */
import { hash } from 'node:crypto';
import { isUnderOwnKey } from '#platform/secrets/encryption.ts';
import type { Place, Vault } from '#platform/secrets/vault.ts';
import type { OrganizationPostgres, Queryable, Transaction } from '#platform/stores/postgres.ts';
import { FailureError, failures } from '#schemas/failures.ts';

/** What is sent, and sent again. */
export type Answer = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  /** The customer whose personal fields are in the body; a repeat of what is kept does not say. */
  readonly personalOf?: PersonalOf;
};

/** A customer with its own key, as it is kept. */
export type PersonalOf = { readonly id: string; readonly ownKey: Buffer | undefined };

type Once = {
  readonly key: string;
  /** Digest of method, path and body, and of what the caller may do. */
  readonly fingerprint: Buffer;
  readonly nowMs: number;
};

type AnswerRow = {
  fingerprint: Buffer;
  status: number;
  headers: Record<string, string>;
  body: Buffer;
  customer_id: string | null;
  wrapped: Buffer | null;
};

/** How long an answer is kept. */
const answerHoursMax = 24;

const placeOf = (organizationId: string, key: string, personalOf?: PersonalOf): Place => ({
  organizationId,
  table: 'idempotency_keys',
  column: 'body',
  row: key,
  key: personalOf ? { kind: 'customer', customerId: personalOf.id, own: personalOf.ownKey } : { kind: 'answer' },
});

/** Of the lock of a key: 64 bits of a digest, as PostgreSQL counts them. */
const lockNumberOf = (organizationId: string, key: string): bigint =>
  hash('sha256', `${organizationId}\n${key}`, 'buffer').readBigInt64BE();

/**
 * Empties the answers that are kept with personal fields of a customer. The end of its key alone would leave those of
 * releases before there were such keys.
 */
export const emptyAnswers = async (
  { query, organizationId }: Queryable & { readonly organizationId: string },
  customerId: string,
): Promise<void> => {
  await query("UPDATE idempotency_keys SET body = '' WHERE organization_id = $1 AND customer_id = $2", [
    organizationId,
    customerId,
  ]);
};

export type AnswerStore = {
  /** What is kept under the key already; throws `IDEMPOTENCY_KEY_REUSED` like `once`. Promises nothing for later. */
  readonly kept: (db: OrganizationPostgres, once: Once) => Promise<Answer | undefined>;
  /** Works under the key, or repeats the answer. `refuse` makes the answer to a refusal of the work. */
  readonly once: (
    db: OrganizationPostgres,
    once: Once,
    work: (client: Transaction) => Promise<Answer>,
    refuse: (failure: FailureError) => Answer,
  ) => Promise<{ readonly answer: Answer; readonly replayed: boolean }>;
  /** Forgets what is older than it has to be; says how many. */
  readonly purge: (nowMs: number) => Promise<number>;
};

export const createAnswerStore = (postgres: Queryable, vault: Vault): AnswerStore => {
  const lookUp = async (client: Queryable, organizationId: string, { key, nowMs }: Once) => {
    const { rows } = await client.query<AnswerRow>(
      `SELECT i.fingerprint, i.status, i.headers, i.body, i.customer_id, k.wrapped FROM idempotency_keys i
       LEFT JOIN customer_keys k ON k.organization_id = i.organization_id AND k.customer_id = i.customer_id
       WHERE i.organization_id = $1 AND i.key = $2 AND i.expires_at > $3`,
      [organizationId, key, new Date(nowMs)],
    );
    return rows[0];
  };
  const answerOf = async (
    client: Queryable,
    organizationId: string,
    { key, fingerprint }: Once,
    row: AnswerRow | undefined,
  ): Promise<Answer | undefined> => {
    if (!row) return undefined;
    if (!row.fingerprint.equals(fingerprint)) throw new FailureError('IDEMPOTENCY_KEY_REUSED');
    const { status, headers, body, customer_id: id, wrapped } = row;
    if (id !== null && body.length === 0) throw new FailureError('CUSTOMER_ERASED');
    // Answers from before customers had keys of their own are under the key of answers.
    const personalOf = id !== null && isUnderOwnKey(body) ? { id, ownKey: wrapped ?? undefined } : undefined;
    return { status, headers, body: await vault.open(client, placeOf(organizationId, key, personalOf), body) };
  };
  const keep = async (
    client: Transaction,
    organizationId: string,
    { key, fingerprint, nowMs }: Once,
    answer: Answer,
  ): Promise<void> => {
    const body = await vault.seal(client, placeOf(organizationId, key, answer.personalOf), answer.body);
    client.defer(
      `INSERT INTO idempotency_keys (organization_id, key, fingerprint, status, headers, body, created_at, expires_at,
         customer_id)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
       ON CONFLICT (organization_id, key) DO UPDATE SET fingerprint = $3, status = $4, headers = $5, body = $6,
         created_at = $7, expires_at = $8, customer_id = $9`,
      [
        organizationId,
        key,
        fingerprint,
        answer.status,
        answer.headers,
        body,
        new Date(nowMs),
        new Date(nowMs + answerHoursMax * 3_600_000),
        answer.personalOf?.id ?? null,
      ],
    );
  };
  const attempt = async (
    client: Transaction,
    work: (client: Transaction) => Promise<Answer>,
    refuse: (failure: FailureError) => Answer,
  ) => {
    try {
      return await work(client);
    } catch (error) {
      if (!(error instanceof FailureError) || failures[error.code].status >= 500) throw error;
      client.defer('ROLLBACK TO SAVEPOINT work', []);
      return refuse(error);
    }
  };
  return {
    kept: async (db, once) => answerOf(db, db.organizationId, once, await lookUp(db, db.organizationId, once)),
    once: (db, once, work, refuse) =>
      db.transaction(async (client) => {
        const { organizationId } = db;
        const locking = client.query<{ locked: boolean }>('SELECT pg_try_advisory_xact_lock($1) AS locked', [
          lockNumberOf(organizationId, once.key),
        ]);
        client.defer('SAVEPOINT work', []);
        const lookingUp = lookUp(client, organizationId, once);
        const [{ rows }, row] = await Promise.all([locking, lookingUp]);
        if (!rows[0]?.locked) throw new FailureError('IDEMPOTENCY_KEY_IN_USE');
        const earlier = await answerOf(client, organizationId, once, row);
        if (earlier) return { answer: earlier, replayed: true };
        const answer = await attempt(client, work, refuse);
        await keep(client, organizationId, once, answer);
        return { answer, replayed: false };
      }),
    purge: async (nowMs) => {
      const { rows } = await postgres.query<{ gone: bigint }>('SELECT purge_idempotency_keys($1) AS gone', [
        new Date(nowMs),
      ]);
      return Number(rows[0]?.gone ?? 0n);
    },
  };
};
