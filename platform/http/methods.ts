/**
 * Methods that follow from the routes: HEAD wherever GET is, OPTIONS of every path that there is, and 405 with the
 * methods of the path for any other. To be called before the first route is added.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from 'fastify';
import type { FailureCode } from '#schemas/failures.ts';
import { preflightHeaders } from './cors.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Whether a web page of an allowed origin asks; its answer can be read there (cors.ts). */
    isFromPage: boolean;
  }
}

/** `literal`: how many characters of it are no parameter. */
type Known = { readonly url: string; readonly path: RegExp; readonly method: string; readonly literal: number };

const knownOf = (url: string, method: string): Known => ({
  url,
  method,
  literal: url.replace(/:[A-Za-z_]+/g, '').length,
  path: new RegExp(`^${url.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replace(/:[A-Za-z_]+/g, '[^/]+')}$`),
});

/** What answers where no route is. */
export const addMethods = (
  app: FastifyInstance,
  refuse: (request: FastifyRequest, reply: FastifyReply, code: FailureCode) => FastifyReply,
): ((request: FastifyRequest, reply: FastifyReply) => FastifyReply) => {
  const routes: Known[] = [];
  app.addHook('onRoute', (route: RouteOptions) => {
    for (const method of [route.method].flat()) {
      routes.push(knownOf(route.url, method));
      // The same route with the same hooks, key and limit; Node leaves out the body. Fastify's own HEAD says a
      // Content-Length of 0 beside a 304.
      if (method === 'GET') app.route({ ...route, method: 'HEAD' });
    }
  });
  return (request, reply) => {
    const [path = ''] = request.url.split('?');
    const here = routes.filter((route) => route.url === path || route.path.test(path));
    // The path that says most hides what fits with more of a parameter, as `/v1/invoices/:id.pdf` hides `:id`.
    const most = Math.max(...here.map(({ literal }) => literal));
    const methods = [...new Set(here.filter(({ literal }) => literal === most).map(({ method }) => method))].toSorted();
    if (methods.length === 0) return refuse(request, reply, 'NOT_FOUND');
    reply.header('allow', [...methods, 'OPTIONS'].join(', '));
    if (request.method !== 'OPTIONS') return refuse(request, reply, 'METHOD_NOT_ALLOWED');
    // Without a key: a browser asks before it sends one.
    if (request.isFromPage) reply.headers(preflightHeaders(methods));
    return reply.code(204).send();
  };
};
