/**
 * The HTTP floor that every process stands on: request ids, problem details, health, metrics, bounded bodies and times. It knows no
 * resource; the routes of a process are added by its app factory.
 */
import type { IncomingMessage } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import Fastify, { type FastifyError, type FastifyInstance, type FastifyReply, type FastifyRequest, LogController } from 'fastify';
import { type FailureCode, FailureError, type Fault, failures, toProblem } from '#schemas/failures.ts';
import type { FaultCode } from '#schemas/fault.ts';
import { within } from './clock.ts';
import { newId } from './ids.ts';
import type { Log } from './log.ts';
import { latencySeconds, type Metrics } from './metrics.ts';
import { parts, UnavailableError } from './retry.ts';

export const apiVersion = '2026-11-20';

/** Asks one dependency whether it answers; throws if not. A dependency that is not required never makes the process unready. */
export type HealthCheck = { readonly name: string; readonly required: boolean; readonly check: () => Promise<void> };

export type HttpOptions = {
  readonly log: Log;
  readonly metrics: Metrics;
  readonly health: readonly HealthCheck[];
  readonly bodyBytesMax: number;
};

const healthCheckMs = 2_000;

export const sendProblem = (
  request: FastifyRequest,
  reply: FastifyReply,
  code: FailureCode,
  detail?: string,
  faults?: readonly Fault[],
): FastifyReply =>
  reply
    .code(failures[code].status)
    .type('application/problem+json')
    .send(toProblem(code, request.id, detail, faults));

/** Ajv's keywords as the codes of schemas/fault.ts; a keyword that is not here stands for itself, in lower snake case. */
const keywordCodes: Record<string, FaultCode> = {
  required: 'missing',
  additionalProperties: 'unknown_field',
  type: 'wrong_type',
  enum: 'not_allowed',
  const: 'not_allowed',
  minLength: 'wrong_length',
  maxLength: 'wrong_length',
  minItems: 'wrong_length',
  maxItems: 'wrong_length',
  pattern: 'wrong_format',
  format: 'wrong_format',
};

const codeOfKeyword = (keyword: string): string =>
  keywordCodes[keyword] ?? keyword.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** Ajv's faults in our form: a dotted field, the keyword's code. */
const validationFaults = (error: FastifyError): Fault[] =>
  (error.validation ?? []).map((fault) => {
    const missing = (fault.params as { missingProperty?: string }).missingProperty;
    const extra = (fault.params as { additionalProperty?: string }).additionalProperty;
    const path = [...fault.instancePath.split('/').slice(1), ...(missing ? [missing] : []), ...(extra ? [extra] : [])];
    const field = path.map((part) => (/^\d+$/.test(part) ? `[${part}]` : `.${part}`)).join('');
    return {
      field: field.replace(/^\./, '') || (error.validationContext ?? 'body'),
      code: codeOfKeyword(fault.keyword),
      message: fault.message ?? 'is not valid',
    };
  });

/**
 * The first text that can't be stored as it is: one with NUL, which PostgreSQL has no place for, or with half of a surrogate pair, which UTF-8 has
 * none for. Iterative: a body may be nested deeper than a stack.
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
    const faults = [{ field: part, code: 'wrong_format', message: 'must not have NUL characters or broken surrogates' }];
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
    return sendProblem(request, reply, context === 'body' ? 'VALIDATION_FAILED' : 'BAD_REQUEST', undefined, validationFaults(error));
  }
  const known = frameworkCodes[error.code];
  if (known) return sendProblem(request, reply, known, error.message);
  // Fastify marks a JSON body that can't be read with 400 and the parser's own words.
  if (error.statusCode === 400) return sendProblem(request, reply, 'MALFORMED_BODY', error.message);
  if (error.statusCode === 413) return sendProblem(request, reply, 'BODY_TOO_LARGE', error.message);
  if (error.statusCode === 415) return sendProblem(request, reply, 'UNSUPPORTED_MEDIA_TYPE', error.message);
  request.log.error({ err: error }, 'bug: a request failed');
  return sendProblem(request, reply, 'INTERNAL_ERROR');
};

const requestIdShape = /^[A-Za-z0-9._:-]{1,128}$/;

/** A Fastify app without listen. */
export const createHttpApp = (options: HttpOptions): FastifyInstance => {
  const app = Fastify({
    loggerInstance: options.log,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: options.bodyBytesMax,
    // Fastify's own default is "never".
    requestTimeout: 60_000,
    keepAliveTimeout: 72_000,
    http: { maxHeaderSize: 16_384, headersTimeout: 15_000 },
    forceCloseConnections: 'idle',
    return503OnClosing: true,
    routerOptions: { maxParamLength: 512, ignoreTrailingSlash: false },
    ajv: { customOptions: { allErrors: true, coerceTypes: false, removeAdditional: false, useDefaults: true } },
    genReqId: (raw: IncomingMessage) => {
      const given = raw.headers['x-request-id'];
      return typeof given === 'string' && requestIdShape.test(given) ? given : newId('req');
    },
    frameworkErrors: answerError,
    clientErrorHandler(error: Error & { code?: string }, socket: Socket) {
      if (!socket.writable) return void socket.destroy();
      const code = error.code === 'HPE_HEADER_OVERFLOW' ? 'HEADERS_TOO_LARGE' : 'BAD_REQUEST';
      const body = JSON.stringify(toProblem(code, newId('req'), code === 'BAD_REQUEST' ? 'The request is not valid HTTP' : undefined));
      socket.end(
        `HTTP/1.1 ${failures[code].status} ${failures[code].title}\r\nContent-Type: application/problem+json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
      );
    },
  } as Parameters<typeof Fastify>[0]) as unknown as FastifyInstance;

  const requests = options.metrics.histogram('millrace_http_request_seconds', 'Time to answer a request', latencySeconds, [
    'method',
    'route',
    'status',
  ]);
  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id);
    reply.header('api-version', apiVersion);
  });
  app.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url ?? 'unknown';
    requests.labels(request.method, route, String(reply.statusCode)).observe(reply.elapsedTime / 1000);
    if (reply.statusCode >= 500)
      request.log.warn({ method: request.method, route, status: reply.statusCode, ms: reply.elapsedTime }, 'request');
    else request.log.debug({ method: request.method, route, status: reply.statusCode, ms: reply.elapsedTime }, 'request');
  });
  app.addHook('preValidation', refuseUnstorable);
  app.setErrorHandler(answerError);
  app.setNotFoundHandler((request, reply) => sendProblem(request, reply, 'NOT_FOUND'));

  app.get('/health/live', async () => ({ status: 'live' }));
  app.get('/health/ready', async (_request, reply) => {
    const states = await Promise.all(
      options.health.map(async ({ name, required, check }) => {
        try {
          await within(healthCheckMs, check());
          return { name, required, state: 'up' };
        } catch {
          return { name, required, state: 'down' };
        }
      }),
    );
    const ready = states.every(({ required, state }) => state === 'up' || !required);
    reply.code(ready ? 200 : 503);
    return { status: ready ? 'ready' : 'unready', dependencies: Object.fromEntries(states.map(({ name, state }) => [name, state])) };
  });
  app.get('/metrics', async (_request, reply) => {
    reply.type(options.metrics.contentType);
    return options.metrics.text();
  });
  return app;
};

/** Listens, and says where: port 0 takes a free one. */
export const listen = async (app: FastifyInstance, host: string, port: number): Promise<string> => {
  await app.listen({ host, port });
  const address = app.server.address() as AddressInfo;
  const shown = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  return `http://${shown}:${address.port}`;
};
