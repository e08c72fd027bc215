/**
 * The one way a route of the API comes to be. A definition says what the route is; everything of the contract's
 * conventions follows from it, so that a new route has it without asking: key and scope, rate limit, closed query and
 * body, idempotency of every POST, ETag and If-Match, the audit entry in the transaction of the change, and its place
 * in the OpenAPI document.
 */
import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import type { FastifyBaseLogger, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type Static, type TSchema, Type } from 'typebox';
import { type Caller, covers, hasScope } from '#platform/access/authenticate.ts';
import type { DigestOf } from '#platform/audit/audit-entry.ts';
import type { ChangedObject, LookAhead, LookedAhead, RecordChange } from '#platform/audit/record-change.ts';
import { preferredType } from '#platform/http/accept.ts';
import type { AnswerHeader } from '#platform/http/openapi-headers.ts';
import type { Clock, OrganizationClock } from '#platform/process/clock.ts';
import type { Vault } from '#platform/secrets/vault.ts';
import type { OrganizationPostgres, Postgres, Queryable, Transaction } from '#platform/stores/postgres.ts';
import { type FailureCode, FailureError, failures, toProblem } from '#schemas/failures.ts';
import { type Withhold, withholding } from '#schemas/http/withheld.ts';
import { nameWorld } from '#schemas/name-world.ts';
import type { RateClass } from '#schemas/rate-tiers.ts';
import type { Answer, AnswerStore, PersonalOf } from './answers.postgres.ts';
import type { Cursors } from './cursors.ts';
import { fingerprintOf, idempotencyKeyOf, keyOfCaller } from './idempotency-key.ts';
import type { List, ListPage, ListQuery } from './lists.ts';

/** A connection that is bound to one organization: its statements see nothing else. */
export type Db = Queryable & { readonly organizationId: string };

export type RoutePorts = {
  readonly clock: Clock;
  readonly organizationClock: OrganizationClock;
  readonly postgres: Pick<Postgres, 'forOrganization'>;
  readonly answers: AnswerStore;
  readonly recordChange: RecordChange;
  readonly lookAhead: LookAhead;
  readonly digestOf: DigestOf;
  readonly cursors: Cursors;
  readonly vault: Pick<Vault, 'prepare'>;
};

type Schema = TSchema | undefined;
type In<S> = S extends TSchema ? Static<S> : Record<string, never>;

/** What a route is. */
export type RouteDefinition<P extends Schema = Schema, Q extends Schema = Schema, B extends Schema = Schema> = {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  /** With `:id` for a parameter. */
  readonly url: string;
  /** Unique; the operationId of the OpenAPI document. */
  readonly operation: string;
  readonly tag: string;
  readonly summary: string;
  readonly scope: string;
  readonly rateClass: RateClass;
  readonly params?: P;
  readonly query?: Q;
  /**
   * What the OpenAPI document shows instead of `query`, where a reader of its own judges the query and names its
   * faults.
   */
  readonly documentedQuery?: TSchema;
  readonly body?: B;
  /**
   * What the OpenAPI document shows instead of `body`, where a reader of its own judges the body and names its faults.
   */
  readonly documentedBody?: TSchema;
  /** The body may be left out, and is undefined then. */
  readonly isBodyOptional?: boolean;
  /** What is there for holders of the scope, and yet not for everyone: a publishable key is refused. */
  readonly secretKeysOnly?: boolean;
  /** For who has a link and no key: the path has its `:token`, and the scope is `linkScope`. */
  readonly byLink?: boolean;
  /**
   * Of a GET: for so many seconds anyone may keep what a publishable key is told. Such an answer varies by its key, and
   * its ETag is of its bytes, as it has no version.
   */
  readonly publicSeconds?: number;
  /** False for a POST that changes nothing: it may be repeated anyway. */
  readonly idempotencyHeader?: boolean;
  /**
   * A GET whose answer also tells what changes without a version, such as when a key was used last: its ETag is for
   * If-Match alone, and there is no 304.
   */
  readonly changesByItself?: boolean;
  /**
   * Of a GET whose answer has no version: its ETag is a digest of all of it but these fields, and weak, as they may
   * differ.
   */
  readonly taggedBut?: readonly string[];
  /** By status; a route has one answer of success. */
  readonly answers: Readonly<Record<number, TSchema>>;
  /**
   * Of the answers; `application/json` where nothing is said. A read that gives a text says by `setType` which of the
   * others it has.
   */
  readonly mediaTypes?: readonly string[];
  /** What the documents say of them, where that is less: a client with types has one type an answer. */
  readonly documentedTypes?: readonly string[];
  /**
   * Headers that answers of success may carry beyond those of every route; OpenAPI documents have them by these names.
   */
  readonly answerHeaders?: readonly AnswerHeader[];
  /** What this route refuses of its own, beyond what every route may answer. */
  readonly failures: readonly FailureCode[];
};

type Context<P, Q, B> = {
  readonly caller: Caller;
  readonly db: Db;
  readonly params: P;
  readonly query: Q;
  readonly body: B;
  readonly nowMs: number;
  readonly requestId: string;
  readonly log: FastifyBaseLogger;
  /** False once the caller has hung up: nobody waits for what takes long. */
  readonly isCallerThere: () => boolean;
  /** Sets a header of the answer, one that the definition names. */
  readonly setHeader: (name: AnswerHeader, value: string) => void;
  readonly setType: (type: string) => void;
  /** Which media type of the definition the caller likes best; the first where none is acceptable. */
  readonly likedType: () => string;
  /** The body as it came, for a reader that has to see numbers as they were written. */
  readonly rawBody: Buffer;
};

type ReadContext<P, Q> = Context<P, Q, undefined> & {
  /** Reads of PostgreSQL that see one moment of it, and write nothing. */
  readonly readTogether: <T>(read: (db: Db) => Promise<T>) => Promise<T>;
};

/** What a change was about; before and after as callers see the object. */
export type ObjectChange = {
  readonly action: string;
  readonly objectType: string;
  readonly objectId: string;
  readonly before?: unknown;
  readonly after?: unknown;
};

export type Done = {
  readonly status?: number;
  readonly body: unknown;
  readonly location?: string;
  /** Each becomes an entry of the audit log. */
  readonly changes: readonly ObjectChange[];
  /** It had been done before: nothing is changed, and there is no entry. */
  readonly isUnchanged?: boolean;
  /** The customer whose personal fields the body holds: the answer is kept under its key. */
  readonly personalOf?: PersonalOf;
};

type WriteContext<P, B> = Context<P, Record<string, never>, B> & {
  /**
   * Holds `If-Match` against the version that the object has, read under a lock; PATCH and DELETE must call it. Throws
   * `VERSION_MISMATCH`.
   */
  readonly matchVersion: (version: number) => void;
  /**
   * May be called right behind the last statement that writes the one object that is changed, before that is answered:
   * the entry of the change then takes a round trip less.
   */
  readonly lookAhead: (object: ChangedObject) => void;
};

declare module 'fastify' {
  interface FastifyContextConfig {
    definition?: RouteDefinition;
    list?: List;
  }
}

const etagOf = (body: unknown): string | undefined => {
  const version = (body as { version?: unknown } | null)?.version;
  return typeof version === 'number' ? `"${version}"` : undefined;
};

/** Compares the entity tags of a conditional header (RFC 9110, section 13.1): `*` matches anything. */
const tagsMatch = (header: string, etag: string): boolean =>
  header === '*' || header.split(',').some((tag) => tag.trim() === etag);

/** Answers to one key must not be given to another one, and those to a secret key are kept by nobody. */
const publicHeaders = (seconds: number) => ({
  'cache-control': `public, max-age=${seconds}`,
  vary: 'Authorization',
});

/** What a browser may do with a page: show it. */
const pagePolicy =
  "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; frame-ancestors 'none'";

const likedTypeOf = (request: FastifyRequest, reply: FastifyReply): string => {
  const [first = 'application/json', ...others] = request.routeOptions.config.definition?.mediaTypes ?? [];
  // Answers to other headers are others.
  reply.header('vary', 'Accept');
  return preferredType(request.headers.accept, [first, ...others]) ?? first;
};

/** 128 bits: whoever finds two bodies of one tag misleads only himself. */
const isBytes = (body: unknown): body is string | Buffer => typeof body === 'string' || Buffer.isBuffer(body);
const contentTagOf = (body: unknown): string =>
  `"${hash('sha256', isBytes(body) ? body : JSON.stringify(body), 'hex').slice(0, 32)}"`;

/** `W/` stands before it in the header; conditions compare without. */
const weakTagOf = (body: unknown, but: readonly string[]): string =>
  contentTagOf(Object.fromEntries(Object.entries(body as object).filter(([name]) => !but.includes(name))));

const nothing = Type.Object({}, { additionalProperties: false });

/** Of a change that can be asked what it would do: as it comes, and as documents show it. */
const previewQuery = Type.Object(
  { preview: Type.Optional(Type.Enum(['true', 'false'])) },
  { additionalProperties: false },
);
const documentedPreviewQuery = Type.Object(
  {
    preview: Type.Optional(
      Type.Boolean({ description: 'With `true` nothing is changed, and what the change would charge is answered.' }),
    ),
  },
  { additionalProperties: false },
);

const toAnswer = ({ status = 200, body, location, personalOf }: Done): Answer => {
  const etag = etagOf(body);
  return {
    status,
    headers: { ...(etag ? { etag } : {}), ...(location ? { location } : {}) },
    body: status === 204 ? Buffer.alloc(0) : Buffer.from(JSON.stringify(body)),
    ...(personalOf ? { personalOf } : {}),
  };
};

const refusal = (failure: FailureError, { id, caller }: FastifyRequest): Answer => {
  const { code, detail, faults } = nameWorld(caller.world, {
    code: failure.code,
    detail: failure.detail,
    faults: failure.faults,
  });
  return {
    status: failures[code].status,
    headers: {},
    body: Buffer.from(JSON.stringify(toProblem(code, id, detail, faults))),
  };
};

/**
 * What an answer of success tells its caller: all of it, but for what the key may not read although it may call the
 * route.
 */
const tellerOf = ({ answers, scope }: RouteDefinition): ((body: unknown, caller: Caller) => unknown) => {
  const success = Object.entries(answers).find(([status]) => Number(status) < 300)?.[1];
  const withhold: Withhold | undefined = success && withholding(success, (needed) => covers(scope, needed));
  return (body, caller) => (withhold ? withhold(body, (needed) => hasScope(caller, needed)) : body);
};

const send = (reply: FastifyReply, { status, headers, body }: Answer): FastifyReply => {
  reply.code(status).headers(headers);
  if (status === 204) return reply.send();
  return reply.type(status >= 400 ? 'application/problem+json' : 'application/json').send(body);
};

export type Routes = {
  /** A read: gives the body, and its version is the ETag. */
  readonly get: <P extends Schema = undefined, Q extends Schema = undefined>(
    definition: Omit<RouteDefinition<P, Q, undefined>, 'method' | 'rateClass' | 'body'>,
    read: (context: ReadContext<In<P>, In<Q>>) => Promise<unknown>,
  ) => void;
  /** A read whose question is too long for a URL: a POST that changes nothing. */
  readonly ask: <P extends Schema = undefined, B extends Schema = undefined>(
    definition: Omit<RouteDefinition<P, undefined, B>, 'method' | 'rateClass' | 'query' | 'idempotencyHeader'>,
    read: (context: Context<In<P>, Record<string, never>, In<B>>) => Promise<unknown>,
  ) => void;
  /** A list: the query is what the list reads. */
  readonly list: <P extends Schema = undefined>(
    definition: Omit<RouteDefinition<P, undefined, undefined>, 'method' | 'rateClass' | 'body' | 'query'> & {
      readonly list: List;
    },
    read: (context: Context<In<P>, ListPage, undefined>) => Promise<unknown>,
  ) => void;
  /** A change, in one transaction with its audit entries and, for a POST, with the answer under its Idempotency-Key. */
  readonly change: <P extends Schema = undefined, B extends Schema = undefined>(
    definition: Omit<RouteDefinition<P, undefined, B>, 'query'>,
    work: (context: WriteContext<In<P>, In<B>>) => Promise<Done>,
    /** What is answered to `?preview=true`; where the route can be asked that. */
    preview?: (context: Context<In<P>, Record<string, never>, In<B>>) => Promise<Pick<Done, 'body' | 'location'>>,
  ) => void;
  /**
   * A change that has to ask others than PostgreSQL: `prepare` does that before the transaction begins, which so never
   * waits for another server while it holds a connection and locks. `work` has what it gave, and looks under its locks
   * at whatever may have changed since. A repeat that finds its answer prepares nothing, and a refusal by `prepare` is
   * kept like one by `work`. Two requests under one key may prepare at the same time; one of them works, and the other
   * repeats its answer.
   */
  readonly changeAfter: <T, P extends Schema = undefined, B extends Schema = undefined>(
    definition: Omit<RouteDefinition<P, undefined, B>, 'query'>,
    prepare: (context: Context<In<P>, Record<string, never>, In<B>>) => Promise<T>,
    work: (context: WriteContext<In<P>, In<B>>, prepared: T) => Promise<Done>,
  ) => void;
};

/** Waits for `prepare` now, and gives or throws what came of it later: a refusal is kept where `work` is at work. */
const outcomeOf = async <T>(prepared: Promise<T>): Promise<() => T> => {
  try {
    const value = await prepared;
    return () => value;
  } catch (error) {
    if (!(error instanceof FailureError)) throw error;
    return () => {
      throw error;
    };
  }
};

export const createRoutes = (app: FastifyInstance, ports: RoutePorts): Routes => {
  const contextOf = (request: FastifyRequest, reply: FastifyReply, db: Db) => ({
    caller: request.caller,
    db,
    params: request.params as never,
    query: request.query as never,
    body: request.body as never,
    nowMs: ports.organizationClock.nowMs(db.organizationId),
    requestId: request.id,
    log: request.log,
    isCallerThere: () => !request.raw.socket.destroyed,
    rawBody: request.rawBody ?? Buffer.alloc(0),
    setHeader: (name: AnswerHeader, value: string) => void reply.header(name.toLowerCase(), value),
    setType: (type: string) => {
      reply.type(type);
      if (type.startsWith('text/html')) reply.header('content-security-policy', pagePolicy);
    },
    likedType: () => likedTypeOf(request, reply),
  });
  const dbOf = (request: FastifyRequest): OrganizationPostgres =>
    ports.postgres.forOrganization(request.caller.organizationId);
  const readTogetherIn =
    (postgres: OrganizationPostgres) =>
    <T>(read: (db: Db) => Promise<T>): Promise<T> =>
      postgres.transaction(({ query, defer }) => {
        defer('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY', []);
        return read({ organizationId: postgres.organizationId, query });
      });

  const add = (
    definition: RouteDefinition,
    list: List | undefined,
    handler: (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>,
  ): void => {
    const {
      method,
      url,
      scope,
      rateClass,
      secretKeysOnly = false,
      byLink = false,
      params = nothing,
      query = nothing,
      body,
    } = definition;
    app.route({
      method,
      url,
      config: { scope, rateClass, secretKeysOnly, byLink, definition, ...(list ? { list } : {}) },
      // A list reads its own query, to tell all faults of it at once.
      schema: { params, ...(list ? {} : { querystring: query }), ...(body ? { body } : {}) },
      handler,
    });
  };

  /** Undefined where the answer is for its caller alone. */
  const publicSecondsOf = ({ publicSeconds }: RouteDefinition, { kind }: Caller): number | undefined =>
    kind === 'publishable' ? publicSeconds : undefined;

  const get: Routes['get'] = (given, read) => {
    const definition: RouteDefinition = { ...given, method: 'GET', rateClass: 'read' };
    const tell = tellerOf(definition);
    add(definition, undefined, async (request, reply) => {
      const postgres = dbOf(request);
      const context = { ...contextOf(request, reply, postgres), readTogether: readTogetherIn(postgres) };
      const body = tell(await read(context), request.caller);
      const publicSeconds = publicSecondsOf(definition, request.caller);
      if (publicSeconds !== undefined) reply.headers(publicHeaders(publicSeconds));
      const { taggedBut } = definition;
      // What is no JSON has no version in it.
      const versionTag = isBytes(body) ? contentTagOf(body) : etagOf(body);
      const ownTag = taggedBut ? weakTagOf(body, taggedBut) : versionTag;
      const etag = publicSeconds === undefined ? ownTag : contentTagOf(body);
      if (etag === undefined) return body;
      reply.header('etag', taggedBut ? `W/${etag}` : etag);
      const known = definition.changesByItself ? undefined : request.headers['if-none-match'];
      if (known !== undefined && tagsMatch(known.replaceAll('W/', ''), etag)) return reply.code(304).send();
      return body;
    });
  };

  const ask: Routes['ask'] = (given, read) => {
    const definition: RouteDefinition = { ...given, method: 'POST', rateClass: 'read', idempotencyHeader: false };
    const tell = tellerOf(definition);
    add(definition, undefined, async (request, reply) =>
      tell(await read(contextOf(request, reply, dbOf(request))), request.caller),
    );
  };

  const list: Routes['list'] = ({ list: of, ...given }, read) => {
    const definition: RouteDefinition = { ...given, method: 'GET', rateClass: 'read' };
    const tell = tellerOf(definition);
    add(definition, of, async (request, reply) => {
      const page = of.read(
        request.query as ListQuery,
        request.caller.organizationId,
        ports.cursors,
        request.params as Record<string, string>,
      );
      const publicSeconds = publicSecondsOf(definition, request.caller);
      if (publicSeconds !== undefined) reply.headers(publicHeaders(publicSeconds));
      return tell(await read({ ...contextOf(request, reply, dbOf(request)), query: page }), request.caller);
    });
  };

  const change: Routes['change'] = (definition, work, preview) => addChange(definition, undefined, work, preview);

  const changeAfter: Routes['changeAfter'] = (definition, prepare, work) => addChange(definition, prepare, work);

  const addChange = <T, P extends Schema, B extends Schema>(
    definition: Omit<RouteDefinition<P, undefined, B>, 'query'>,
    prepare: ((context: Context<In<P>, Record<string, never>, In<B>>) => Promise<T>) | undefined,
    work: (context: WriteContext<In<P>, In<B>>, prepared: T) => Promise<Done>,
    preview?: (context: Context<In<P>, Record<string, never>, In<B>>) => Promise<Pick<Done, 'body' | 'location'>>,
  ): void => {
    const tell = tellerOf(definition);
    const conditional = definition.method === 'PATCH' || definition.method === 'DELETE';
    add(
      { ...definition, ...(preview ? { query: previewQuery, documentedQuery: documentedPreviewQuery } : {}) },
      undefined,
      async (request, reply) => {
        const db = dbOf(request);
        const key = definition.method === 'POST' ? idempotencyKeyOf(request) : undefined;
        if (preview && (request.query as { preview?: string }).preview === 'true') {
          const { body, ...more } = await preview(contextOf(request, reply, db));
          return send(reply, toAnswer({ ...more, body: tell(body, request.caller), changes: [] }));
        }
        const ifMatch = request.headers['if-match'];
        const once =
          key === undefined
            ? undefined
            : {
                key: keyOfCaller(request.caller, key),
                fingerprint: fingerprintOf(request, definition.scope === 'admin:keys'),
                nowMs: ports.clock.nowMs(),
              };
        const repeat = (answer: Answer) => send(reply.header('idempotency-replayed', 'true'), answer);
        const earlier = prepare && once && (await ports.answers.kept(db, once));
        if (earlier) return repeat(earlier);
        const prepared = await outcomeOf(prepare ? prepare(contextOf(request, reply, db)) : (undefined as never));
        const inTransaction = async ({ query, defer }: Transaction): Promise<Answer> => {
          const transaction = { organizationId: db.organizationId, query, defer };
          let ahead: LookedAhead | undefined;
          const lookAhead = (object: ChangedObject) => {
            ahead = ports.lookAhead(transaction, object);
          };
          const context = contextOf(request, reply, transaction);
          let matched = false;
          const matchVersion = (version: number) => {
            matched = true;
            if (ifMatch !== undefined && !tagsMatch(ifMatch, `"${version}"`))
              throw new FailureError('VERSION_MISMATCH');
          };
          const done = await work({ ...context, matchVersion, lookAhead }, prepared());
          assert(matched || !conditional, `${definition.operation} did not look at If-Match`);
          assert(
            done.changes.length > 0 || done.isUnchanged,
            `${definition.operation} changed something without an audit entry`,
          );
          const answer = toAnswer({ ...done, body: tell(done.body, context.caller) });
          const actor = { actor: context.caller.keyId, requestId: request.id, result: String(answer.status) };
          const changes = done.changes.map(({ before, after, ...of }) => ({
            ...of,
            ...(before === undefined ? {} : { beforeDigest: ports.digestOf(before) }),
            ...(after === undefined ? {} : { afterDigest: ports.digestOf(after) }),
          }));
          if (changes.length > 0) await ports.recordChange(transaction, actor, changes, ports.clock.nowMs(), ahead);
          return answer;
        };
        // The first data key of an organization is made before the transaction, so that two first requests don't wait
        // for each other.
        await ports.vault.prepare(db, db.organizationId);
        if (once === undefined) return send(reply, await db.transaction(inTransaction));
        const { answer, replayed } = await ports.answers.once(db, once, inTransaction, (failure) => {
          reply.failureCode = failure.code;
          return refusal(failure, request);
        });
        return replayed ? repeat(answer) : send(reply, answer);
      },
    );
  };
  return { get, ask, list, change, changeAfter };
};
