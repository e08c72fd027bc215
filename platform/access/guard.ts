/**
 * The one guard of every route under `/v1`: key, scope, rate limit and signature, in this order and before any data is
 * read. A route says only which scope it needs and which limit it counts against; one that says neither can't be
 * registered.
 */
import assert from 'node:assert/strict';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { FailureError } from '#schemas/failures.ts';
import type { RateClass } from '#schemas/rate-tiers.ts';
import { signatureFault } from '#schemas/request-signature.ts';
import type { Clock } from '../process/clock.ts';
import { type Authenticate, type Caller, hasScope } from './authenticate.ts';
import { type RateLimit, rateLimitHeaders } from './rate-limit.ts';

export type GuardPorts = {
  readonly clock: Clock;
  readonly authenticate: Authenticate;
  readonly rateLimit: RateLimit;
  /** The signing secret of the caller's key in clear. */
  readonly openSigningSecret: (caller: Caller, sealed: Buffer) => Promise<string>;
};

declare module 'fastify' {
  interface FastifyRequest {
    caller: Caller;
    /** The body as it came, where it was read. */
    rawBody: Buffer | undefined;
  }
  interface FastifyContextConfig {
    /** The scope that a caller of this route needs. */
    scope?: string;
    /** The limit that a request counts against. */
    rateClass?: RateClass;
    /** A publishable key is refused, although it holds the scope. */
    secretKeysOnly?: boolean;
  }
}

const none = Buffer.alloc(0);

/**
 * Everyone has a publishable key: what is sent with it uses up a bucket of its own, and nothing of what servers may
 * send.
 */
const classOf = ({ kind }: Caller, rateClass: RateClass): RateClass => (kind === 'publishable' ? 'public' : rateClass);

const admit = async (ports: GuardPorts, request: FastifyRequest, reply: FastifyReply): Promise<void> => {
  const { scope, rateClass, secretKeysOnly } = request.routeOptions.config;
  if (scope === undefined || rateClass === undefined) return;
  const caller = await ports.authenticate(request.headers.authorization);
  request.caller = caller;
  const verdict = await ports.rateLimit.take(caller.organizationId, caller.tier, classOf(caller, rateClass));
  reply.headers(rateLimitHeaders(verdict));
  if (!verdict.allowed) throw new FailureError(verdict.refusedBy === 'quota' ? 'QUOTA_EXCEEDED' : 'RATE_LIMITED');
  if (caller.kind === 'secret' && request.isFromPage) throw new FailureError('SECRET_KEY_IN_BROWSER');
  if (!hasScope(caller, scope)) throw new FailureError('MISSING_SCOPE', `This route needs the scope ${scope}`);
  if (secretKeysOnly && caller.kind === 'publishable')
    throw new FailureError('MISSING_SCOPE', `This route needs the scope ${scope} of a secret key`);
};

const checkSignature = async (ports: GuardPorts, request: FastifyRequest): Promise<void> => {
  const { caller } = request;
  if (caller?.signingSecret === undefined) return;
  const secret = await ports.openSigningSecret(caller, caller.signingSecret);
  const header = request.headers['x-signature'];
  const fault = signatureFault(typeof header === 'string' ? header : undefined, secret, ports.clock.nowMs(), {
    method: request.method,
    path: request.raw.url ?? '',
    body: request.rawBody ?? none,
  });
  if (fault !== undefined) throw new FailureError('INVALID_SIGNATURE', fault);
};

export const guardRoutes = (app: FastifyInstance, ports: GuardPorts): void => {
  app.decorateRequest('caller');
  app.decorateRequest('rawBody');
  app.addHook('onRoute', ({ url, config, method }) => {
    if (!url.startsWith('/v1/')) return;
    assert(
      config?.scope !== undefined && config.rateClass !== undefined,
      `${method} ${url} names no scope or no limit`,
    );
  });
  app.addHook('onRequest', (request, reply) => admit(ports, request, reply));
  app.addHook('preValidation', (request) => checkSignature(ports, request));
};
