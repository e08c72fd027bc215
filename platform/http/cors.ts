/**
 * Which web pages may read answers (CORS, as the Fetch standard has it): those of the origins that the operator lists,
 * and by default none. Pure.
 *
 * A page is let in by its exact origin, which is then said back to it, so every answer varies by Origin; there is no
 * `*`, and no cookie or other credential of the browser counts here. What a page of a private network asks for beyond
 * that (`Access-Control-Request-Private-Network`) is not granted.
 *
 * Rejected: @fastify/cors. A plugin is loaded after the hooks of this floor, so a refused key or a used up limit would
 * be answered without its headers, and a page could not read why; what Fastify answers before any hook would never have
 * them; and its route `OPTIONS *` takes every path for one that there is.
 */
import { answerHeaders } from './openapi-headers.ts';

export type Cors = { readonly origins: ReadonlySet<string> };

/** `undefined` where no page may read anything. */
export const corsOf = (origins: readonly string[]): Cors | undefined =>
  origins.length > 0 ? { origins: new Set(origins) } : undefined;

const isAllowed = (cors: Cors, origin: string | undefined): origin is string =>
  origin !== undefined && cors.origins.has(origin);

/** Whether a request comes from a page that may read its answer. */
export const isFromPage = (cors: Cors | undefined, origin: string | undefined): boolean =>
  cors !== undefined && isAllowed(cors, origin);

const exposed = Object.keys(answerHeaders).join(', ');

/**
 * On every answer. A cache that holds what one page was told must not give it to another one: also what no page may
 * read varies.
 */
export const corsHeaders = (cors: Cors | undefined, origin: string | undefined): Record<string, string> => {
  if (cors === undefined) return {};
  if (!isAllowed(cors, origin)) return { vary: 'Origin' };
  return { vary: 'Origin', 'access-control-allow-origin': origin, 'access-control-expose-headers': exposed };
};

/** `Vary` of an answer whose route may say one of its own. */
export const varyByOrigin = (vary: unknown): string => {
  const names = vary === undefined ? [] : [vary].flat().flatMap((one) => String(one).split(/\s*,\s*/));
  return [...names.filter((name) => name.toLowerCase() !== 'origin'), 'Origin'].join(', ');
};

/** What a page may send beside what every page may. A signature is not among them: a page has no secret. */
const requestHeaders =
  'Accept, Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, X-Idempotency-Key, X-Request-Id, traceparent, tracestate';
const preflightSeconds = 600;

/** On the answer to a preflight of a page that may read the answer. */
export const preflightHeaders = (methods: readonly string[]): Record<string, string> => ({
  'access-control-allow-methods': methods.join(', '),
  'access-control-allow-headers': requestHeaders,
  'access-control-max-age': String(preflightSeconds),
});
