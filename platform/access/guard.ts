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
import { type AuthenticateLink, addressOf } from './authenticate-link.ts';
import { type RateLimit, rateLimitHeaders } from './rate-limit.ts';

export type GuardPorts = {
  readonly clock: Clock;
  readonly authenticate: Authenticate;
  readonly rateLimit: RateLimit;
  /** Where routes are for who has a link, and no key. */
  readonly authenticateLink?: AuthenticateLink;
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
    /** Instead of a key the caller has a link: its token is in the path. */
    byLink?: boolean;
    /** A publishable key is refused, although it holds the scope. */
    secretKeysOnly?: boolean;
  }
}

const none = Buffer.alloc(0);

/**
 * Everyone has a publishable key, and a link may come to anyone: what is sent with them uses up a bucket of its own,
 * and nothing of what servers may send.
 */
const classOf = ({ kind }: Caller, rateClass: RateClass): RateClass => (kind === 'secret' ? rateClass : 'public');

const take = async (
  { rateLimit }: GuardPorts,
  reply: FastifyReply,
  ...bucket: Parameters<RateLimit['take']>
): Promise<void> => {
  const verdict = await rateLimit.take(...bucket);
  reply.headers(rateLimitHeaders(verdict));
  if (!verdict.allowed) throw new FailureError(verdict.refusedBy === 'quota' ? 'QUOTA_EXCEEDED' : 'RATE_LIMITED');
};

/** Who guesses tokens is slowed down by where he comes from, as a guess is of no organization. */
const callerByLink = async (ports: GuardPorts, request: FastifyRequest, reply: FastifyReply): Promise<Caller> => {
  await take(ports, reply, addressOf(request.ip), 'starter', 'public');
  assert(ports.authenticateLink, 'this process knows no links');
  return ports.authenticateLink((request.params as { readonly token: string }).token);
};

const admit = async (ports: GuardPorts, request: FastifyRequest, reply: FastifyReply): Promise<void> => {
  const { scope, rateClass, secretKeysOnly, byLink } = request.routeOptions.config;
  if (scope === undefined || rateClass === undefined) return;
  const caller = byLink
    ? await callerByLink(ports, request, reply)
    : await ports.authenticate(request.headers.authorization);
  request.caller = caller;
  await take(ports, reply, caller.organizationId, caller.tier, classOf(caller, rateClass));
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
