/** The billing REST API, without listen. */
import type { FastifyInstance } from 'fastify';
import { type GuardPorts, guardRoutes } from '#platform/access/guard.ts';
import { documentRoutes } from '#platform/http/docs.ts';
import { createHttpApp, type HttpOptions } from '#platform/http/http.ts';
import { parseJsonBody } from '#platform/http/json-body.ts';
import { FailureError } from '#schemas/failures.ts';
import { type ApiPorts, resourceRoutes } from './resources.ts';
import { createRoutes, type RouteDefinition, type RoutePorts } from './route/define-route.ts';
import { apiInfo } from './route/openapi.ts';

export type ApiOptions = HttpOptions & {
  readonly guard: GuardPorts;
  readonly routes: RoutePorts;
  readonly ports: Omit<ApiPorts, 'isServing' | 'cursors'>;
};

const needsBody = (definition: RouteDefinition | undefined): boolean =>
  (definition?.body ?? definition?.documentedBody) !== undefined && !definition?.isBodyOptional;

export const createApi = (options: ApiOptions): FastifyInstance => {
  const app = createHttpApp(options);
  documentRoutes(app, apiInfo, ({ definition, list, operation }) =>
    definition
      ? { ...definition, query: list?.querySchema ?? definition.documentedQuery ?? definition.query }
      : operation,
  );
  guardRoutes(app, options.guard);
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    request.rawBody = body as Buffer;
    // Clients name the type of every request, of one without a body too.
    if (body.length === 0 && !needsBody(request.routeOptions.config.definition)) return done(null, undefined);
    const parsed = parseJsonBody(body as Buffer);
    if (parsed.ok) done(null, parsed.value);
    else done(new FailureError('MALFORMED_BODY', parsed.reason), undefined);
  });
  const routes = createRoutes(app, options.routes);
  const ports: ApiPorts = { ...options.ports, cursors: options.routes.cursors, isServing: () => app.server.listening };
  for (const add of resourceRoutes) add(routes, ports);
  return app;
};
