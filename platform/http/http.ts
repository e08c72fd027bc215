/**
 * The HTTP floor that every process stands on: request ids, problem details, health, metrics, bounded bodies and times.
 * It knows no resource; the routes of a process are added by its app factory.
 */
import assert from 'node:assert/strict';
import type { IncomingMessage, RequestListener } from 'node:http';
import type { Socket } from 'node:net';
import Fastify, {
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify';
import { type FailureCode, FailureError, type Fault, failures, toProblem } from '#schemas/failures.ts';
import { nameWorld } from '#schemas/name-world.ts';
import { within } from '../process/clock.ts';
import { newId } from '../process/ids.ts';
import type { Log } from '../process/log.ts';
import { latencySeconds, type Metrics } from '../process/metrics.ts';
import { noTracer, type Tracer, traceRequests } from '../process/tracing.ts';
import { parts, UnavailableError } from '../stores/retry.ts';
import { type Cors, corsHeaders, isFromPage, varyByOrigin } from './cors.ts';
import { faultOfHeaders, floorHeaders } from './headers.ts';
import { answerClientError, createServer, defaultBounds, type ServerBounds, urlOf } from './http-server.ts';
import { compileLate } from './late-validators.ts';
import { addMethods } from './methods.ts';
import { validationFaults, validatorOptions } from './validation-faults.ts';

export const apiVersion = '2026-11-20';

/**
 * Asks one dependency whether it answers; throws if not. A dependency that is not required never makes the process
 * unready.
 */
type HealthCheck = { readonly name: string; readonly required: boolean; readonly check: () => Promise<void> };

export type HttpOptions = {
  readonly log: Log;
  readonly metrics: Metrics;
  /** Without one nothing is traced. */
  readonly tracer?: Tracer;
  readonly health: readonly HealthCheck[];
  /** How long the oldest that is still to be done has waited, in milliseconds; of a process that works by itself. */
  readonly waitingMs?: (() => number) | undefined;
  readonly bodyBytesMax: number;
  readonly bounds?: ServerBounds;
  /** Without it no web page can read an answer. */
  readonly cors?: Cors | undefined;
  /** False where no route has a schema: Ajv, a quarter of the start of such a process, is not loaded then. */
  readonly validates?: boolean;
};

const healthCheckMs = 2_000;
/** A process whose work waits for longer is degraded: it works, and not as fast as it should. */
const degradedFromMs = 10_000;

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The content encodings that the route reads itself; without them none is taken. */
    contentEncodings?: readonly string[];
    /** The types of a body that the route takes; JSON where nothing is said. */
    bodyTypes?: readonly string[];
  }
  interface FastifyReply {
    /** The code of a problem that is answered; counted. */
    failureCode: FailureCode | undefined;
  }
}

const bodyTypesOf = ({ routeOptions }: FastifyRequest): readonly string[] =>
  routeOptions.config?.bodyTypes ?? ['application/json'];

const sendProblem = (
  request: FastifyRequest,
  reply: FastifyReply,
  code: FailureCode,
  givenDetail?: string,
  givenFaults?: readonly Fault[],
): FastifyReply => {
  const { detail, faults } = nameWorld(request.caller?.world, { code, detail: givenDetail, faults: givenFaults });
  const { status } = failures[code];
  reply.failureCode = code;
  // RFC 9110 wants the scheme with every 401; what passes by itself says when.
  if (status === 401) reply.header('www-authenticate', 'Bearer');
  // RFC 9110, section 15.5.16: what would have been taken.
  if (status === 415 && !reply.hasHeader('accept-encoding')) reply.header('accept', bodyTypesOf(request).join(', '));
  if ((status === 503 || code === 'IDEMPOTENCY_KEY_IN_USE') && !reply.hasHeader('retry-after'))
    reply.header('retry-after', '1');
  return reply
    .code(status)
    .type('application/problem+json')
    .send(toProblem(code, request.id, detail, faults));
};

/**
 * The first text that can't be stored as it is: one with NUL, which PostgreSQL has no place for, or with half of a
 * surrogate pair, which UTF-8 has none for. Iterative: a body may be nested deeper than a stack.
 */
const unstorable = (root: unknown): boolean => {
  const open: unknown[] = [root];
  while (open.length > 0) {
    const value = open.pop();
    if (typeof value === 'string' && (value.includes('\u0000') || !value.isWellFormed())) return true;
    if (typeof value !== 'object' || value === null || Buffer.isBuffer(value)) continue;
    for (const [name, inner] of Object.entries(value)) open.push(name, inner);
  }
  return false;
};

/** Every route refuses such text, wherever it stands, before it is worked on. */
const refuseUnstorable = async (request: FastifyRequest): Promise<void> => {
  for (const part of ['params', 'query', 'body'] as const) {
    if (!unstorable(request[part])) continue;
    const faults = [
      { field: part, code: 'wrong_format', message: 'must not have NUL characters or broken surrogates' },
    ];
    throw new FailureError(part === 'body' ? 'VALIDATION_FAILED' : 'BAD_REQUEST', undefined, faults);
  }
};

const frameworkCodes: Record<string, FailureCode> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'BODY_TOO_LARGE',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'UNSUPPORTED_MEDIA_TYPE',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'MALFORMED_BODY',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'MALFORMED_BODY',
  FST_ERR_CTP_INVALID_JSON_BODY: 'MALFORMED_BODY',
  FST_ERR_BAD_URL: 'NOT_FOUND',
  FST_ERR_MAX_PARAM_LENGTH: 'NOT_FOUND',
};

const answerError = (error: FastifyError, request: FastifyRequest, reply: FastifyReply): FastifyReply => {
  if (error instanceof FailureError) return sendProblem(request, reply, error.code, error.detail, error.faults);
  if (error instanceof UnavailableError) {
    request.log.warn({ err: error, part: error.part }, 'a part is down');
    reply.header('retry-after', String(error.retryAfterSeconds));
    return sendProblem(request, reply, 'DEPENDENCY_UNAVAILABLE', `${parts[error.part]} is not available`, [
      { field: error.part, code: 'unavailable', message: `${parts[error.part]} is not available` },
    ]);
  }
  if (error.validation) {
    const context = error.validationContext;
    return sendProblem(
      request,
      reply,
      context === 'body' ? 'VALIDATION_FAILED' : 'BAD_REQUEST',
      undefined,
      validationFaults(error),
    );
  }
  const known = frameworkCodes[error.code];
  if (known === 'UNSUPPORTED_MEDIA_TYPE')
    return sendProblem(request, reply, known, `Taken are bodies of type ${bodyTypesOf(request).join(', ')}`);
  // The words of the framework would say the path again.
  if (known === 'NOT_FOUND') return sendProblem(request, reply, known);
  if (known) return sendProblem(request, reply, known, error.message);
  // Fastify marks a JSON body that can't be read with 400 and the parser's own words.
  if (error.statusCode === 400) return sendProblem(request, reply, 'MALFORMED_BODY', error.message);
  if (error.statusCode === 413) return sendProblem(request, reply, 'BODY_TOO_LARGE', error.message);
  if (error.statusCode === 415) return sendProblem(request, reply, 'UNSUPPORTED_MEDIA_TYPE', error.message);
  request.log.error({ err: error }, 'bug: a request failed');
  return sendProblem(request, reply, 'INTERNAL_ERROR');
};

const expectsContinue = ({ raw }: FastifyRequest): boolean =>
  raw.httpVersion === '1.1' && raw.headers.expect?.toLowerCase() === '100-continue';

/**
 * What this floor reads is uncompressed UTF-8: a body that says otherwise is refused before it is read, a bomb or not,
 * but on a route that unpacks it itself.
 */
const refuseEncoded = ({ headers, routeOptions }: FastifyRequest, reply: FastifyReply): void => {
  const encoding = headers['content-encoding']?.toLowerCase();
  const taken = routeOptions.config.contentEncodings ?? [];
  if (encoding !== undefined && encoding !== 'identity' && !taken.includes(encoding)) {
    reply.header('accept-encoding', taken.join(', ') || 'identity');
    throw new FailureError(
      'UNSUPPORTED_MEDIA_TYPE',
      `The content encoding ${encoding.slice(0, 64)} is not supported; ${taken.length === 0 ? 'send the body as it is' : `taken is one of ${taken.join(', ')}`}`,
    );
  }
  const charset = /;\s*charset="?([^";\s]*)/i.exec(headers['content-type'] ?? '')?.[1];
  if (charset !== undefined && !/^(?:utf-8|us-ascii)$/i.test(charset))
    throw new FailureError(
      'UNSUPPORTED_MEDIA_TYPE',
      `The character set ${charset.slice(0, 64)} is not supported; send UTF-8`,
    );
};

const requestIdShape = /^[A-Za-z0-9._:-]{1,128}$/;

/** A Fastify app without listen. */
export const createHttpApp = (options: HttpOptions): FastifyInstance => {
  const { bounds = defaultBounds, cors } = options;
  const refused = options.metrics.counter(
    'millrace_http_refused_connections_total',
    'Connections that were closed without an answer',
    ['reason'],
  );
  const problems = options.metrics.counter(
    'millrace_http_problems_total',
    'Requests that ended with a problem, by its error code',
    ['code'],
  );
  const headersFor = ({ id, headers }: FastifyRequest): Record<string, string> => {
    const floor = floorHeaders(id, apiVersion, bounds.tls !== undefined);
    return cors ? { ...floor, ...corsHeaders(cors, headers.origin) } : floor;
  };
  /** What stands before the tokens of links: whatever follows there is a link or none, also where no route fits. */
  const linkPaths = new Set<string>();
  const isOfLink = ({ url }: FastifyRequest): boolean => linkPaths.values().some((path) => url.startsWith(path));
  const refuse = (request: FastifyRequest, reply: FastifyReply, code: FailureCode): FastifyReply =>
    sendProblem(request, reply, code === 'NOT_FOUND' && isOfLink(request) ? 'QUOTE_LINK_NOT_FOUND' : code);
  const app = Fastify({
    loggerInstance: options.log,
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'request_id' }),
    bodyLimit: options.bodyBytesMax,
    // Our own factory binds `localhost` to one address of it and not to both; its server has all bounds, and a renewed
    // certificate reaches it.
    serverFactory: (handler: RequestListener) => createServer(handler, bounds),
    forceCloseConnections: 'idle',
    // Ours says so in our own form.
    return503OnClosing: false,
    // methods.ts adds them.
    exposeHeadRoutes: false,
    routerOptions: { maxParamLength: 512, ignoreTrailingSlash: false },
    ajv: {
      customOptions: validatorOptions,
      onCreate: compileLate,
    },
    schemaController: {
      compilersFactory: {
        ...(options.validates === false && { buildValidator: () => assert.fail('this app has a schema after all') }),
        // Fastify would load its own. Answers are written by JSON.stringify; their schemas are for the document alone.
        buildSerializer: () => assert.fail('no route gives Fastify the schema of an answer'),
      },
    },
    genReqId: (raw: IncomingMessage) => {
      const given = raw.headers['x-request-id'];
      return typeof given === 'string' && requestIdShape.test(given) ? given : newId('req');
    },
    // No hook runs before these.
    frameworkErrors: (error: FastifyError, request: FastifyRequest, reply: FastifyReply) => {
      reply.headers(headersFor(request));
      return isOfLink(request) ? refuse(request, reply, 'NOT_FOUND') : answerError(error, request, reply);
    },
    clientErrorHandler(error: Error & { code?: string }, socket: Socket) {
      const code = answerClientError(error, socket, apiVersion, cors);
      if (code) problems.labels(code).inc();
      else refused.labels('closed').inc();
      options.log.debug({ code: error.code }, 'a connection was refused');
    },
  } as Parameters<typeof Fastify>[0]) as unknown as FastifyInstance;

  const requests = options.metrics.histogram(
    'millrace_http_request_seconds',
    'Time to answer a request',
    latencySeconds,
    ['method', 'route', 'status'],
  );
  // A code that was never seen is 0 and not absent: the first one is then an increase, which an alert sees.
  for (const [code, { status }] of Object.entries(failures)) if (status >= 500) problems.labels(code).inc(0);
  app.decorateReply('failureCode', undefined);
  app.decorateRequest('isFromPage', false);
  traceRequests(app, options.tracer ?? noTracer);
  app.server.on('drop', () => refused.labels('too_many').inc());
  let closing = false;
  app.addHook('preClose', async () => {
    closing = true;
  });
  app.addHook('onRequest', async (request, reply) => {
    reply.headers(headersFor(request));
    request.isFromPage = isFromPage(cors, request.headers.origin);
    const fault = faultOfHeaders(request.raw.rawHeaders, request.raw.httpVersion);
    if (fault) throw new FailureError(fault.code, fault.detail);
    refuseEncoded(request, reply);
    // Who is refused before the body is asked for sends none, so nothing on this connection could be told from it.
    if (expectsContinue(request)) reply.header('connection', 'close');
    // What came over a connection that was open goes to another process.
    if (closing) throw new FailureError('OVERLOADED', 'This process is stopping');
  });
  if (cors)
    app.addHook('onSend', async (_request, reply) => {
      reply.header('vary', varyByOrigin(reply.getHeader('vary')));
    });
  // Behind the key, the scope and the limits: a body that nobody will read is not asked for.
  app.addHook('preParsing', async (request, reply) => {
    if (!expectsContinue(request)) return;
    const bytesMax = request.routeOptions.bodyLimit ?? options.bodyBytesMax;
    if (Number(request.headers['content-length'] ?? 0) > bytesMax)
      throw new FailureError('BODY_TOO_LARGE', `The limit is ${bytesMax} bytes`);
    reply.removeHeader('connection');
    reply.raw.writeContinue();
  });
  app.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url ?? 'unknown';
    requests.labels(request.method, route, String(reply.statusCode)).observe(reply.elapsedTime / 1000);
    if (reply.failureCode !== undefined) problems.labels(reply.failureCode).inc();
    if (reply.statusCode >= 500)
      request.log.warn({ method: request.method, route, status: reply.statusCode, ms: reply.elapsedTime }, 'request');
    else
      request.log.debug({ method: request.method, route, status: reply.statusCode, ms: reply.elapsedTime }, 'request');
  });
  app.addHook('preValidation', refuseUnstorable);
  app.addHook('onRoute', ({ url, config }) => {
    if (config?.byLink) linkPaths.add(url.slice(0, url.indexOf(':')));
  });
  const answerUnknown = addMethods(app, refuse);
  app.setNotFoundHandler(answerUnknown);
  app.setErrorHandler((error: FastifyError, request, reply) => {
    // Where there is no route, what is wrong with the body does not matter.
    const isOfBody = !(error instanceof FailureError) && (error.statusCode ?? 500) < 500;
    return request.is404 && isOfBody ? answerUnknown(request, reply) : answerError(error, request, reply);
  });

  // Anyone may ask: however many do, a part is asked by one at a time.
  const asking = new Map<string, Promise<boolean>>();
  const isUp = ({ name, check }: HealthCheck): Promise<boolean> => {
    const running = asking.get(name);
    if (running) return running;
    const answer = within(healthCheckMs, Promise.try(check))
      .then(
        () => true,
        () => false,
      )
      .finally(() => asking.delete(name));
    asking.set(name, answer);
    return answer;
  };
  if (options.health.length > 0)
    options.metrics.gaugeOf(
      'millrace_dependency_up',
      'Whether a part that the process stands on answered when it was asked for this scrape',
      async () =>
        Object.fromEntries(
          await Promise.all(options.health.map(async (one) => [one.name, Number(await isUp(one))] as const)),
        ),
      'dependency',
      'min',
    );
  app.get('/health/live', async () => ({ status: 'live' }));
  app.get('/health/ready', async (_request, reply) => {
    const states = await Promise.all(
      options.health.map(async (one) => ({
        name: one.name,
        required: one.required,
        state: (await isUp(one)) ? 'up' : 'down',
      })),
    );
    const ready = states.every(({ required, state }) => state === 'up' || !required);
    reply.code(ready ? 200 : 503);
    const waitingMs = options.waitingMs?.();
    const isDegraded = waitingMs !== undefined && waitingMs > degradedFromMs;
    return {
      status: ready ? (isDegraded ? 'degraded' : 'ready') : 'unready',
      dependencies: Object.fromEntries(states.map(({ name, state }) => [name, state])),
      ...(waitingMs !== undefined && { waiting_seconds: Math.round(waitingMs) / 1000 }),
    };
  });
  app.get('/metrics', async (_request, reply) => {
    reply.type(options.metrics.contentType);
    return options.metrics.text();
  });
  return app;
};

/**
 * Listens, and says where: port 0 takes a free one. `reusePort` lets other processes of ours do so there, too
 * (worker-processes.ts).
 */
export const listen = async (app: FastifyInstance, host: string, port: number, reusePort = false): Promise<string> => {
  await app.listen({ host, port, ...(reusePort && { reusePort }) });
  return urlOf(app.server);
};
