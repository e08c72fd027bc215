/**
 * The documents of a process that has an API: `/openapi.json`, an explorer at `/docs` and the error reference at
 * `/docs/errors`. They need no key, and hold nothing of any organization. The explorer is Swagger UI, from our own
 * host: no page here loads anything from another one, or runs a script that is not a file of ours.
 */
import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { FailureError } from '#schemas/failures.ts';
import { closed, formed } from '#schemas/http/fields.ts';
import { ErrorIndex, ErrorPage } from '#schemas/http/problem.ts';
import { preferredType } from './accept.ts';
import { errorCss, errorIndexHtml, errorPage, errorPageHtml, errorPages, isFailureCode } from './error-reference.ts';
import { type DocumentInfo, type Operation, openApiDocument } from './openapi.ts';
import type { Json } from './openapi-schemas.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What the OpenAPI document says of a route. */
    operation?: Operation;
  }
}

const tag = 'About the service';
const floorTag = 'Whether the process runs, what it measures, and its documents.';
const open = { method: 'GET', tag, failures: [] } as const;
const html = 'text/html';
const json = 'application/json';

const Live = Type.Object({ status: Type.Literal('live') }, { ...closed, title: 'Liveness' });
const Dependencies = Type.Record(
  Type.String({ pattern: '^[a-z]+$' }),
  Type.Enum(['up', 'down'], { title: 'DependencyState' }),
  {
    additionalProperties: false,
    title: 'Dependencies',
  },
);
const readiness = (status: 'ready' | 'unready', title: string) =>
  Type.Object({ status: Type.Literal(status), dependencies: Dependencies }, { ...closed, title });
const CodeParam = Type.Object({ code: formed('^[A-Z][A-Z0-9_]{0,63}$', 'an error code such as NOT_FOUND') }, closed);
const OpenApi = Type.Object({}, { additionalProperties: true, title: 'OpenApiDocument', description: 'OpenAPI 3.1.' });

/** The routes that every process has; `http.ts` adds the first three. */
const floor: readonly Operation[] = [
  {
    ...open,
    url: '/health/live',
    operation: 'getLiveness',
    summary: 'Whether the process runs',
    answers: { 200: Live },
  },
  {
    ...open,
    url: '/health/ready',
    operation: 'getReadiness',
    summary: 'Whether the process can work, with each part it stands on',
    answers: { 200: readiness('ready', 'Readiness'), 503: readiness('unready', 'Unreadiness') },
  },
  {
    ...open,
    url: '/metrics',
    operation: 'getMetrics',
    summary: 'Measurements, as Prometheus reads them',
    answers: { 200: Type.String() },
    mediaTypes: ['text/plain'],
  },
  { ...open, url: '/openapi.json', operation: 'getOpenApi', summary: 'This document', answers: { 200: OpenApi } },
  {
    ...open,
    url: '/docs',
    operation: 'getExplorer',
    summary: 'The explorer of this API',
    answers: { 200: Type.String() },
    mediaTypes: [html],
  },
  {
    ...open,
    url: '/docs/errors',
    operation: 'listErrorCodes',
    summary: 'Every error code',
    answers: { 200: ErrorIndex },
    mediaTypes: [html, json],
  },
  {
    ...open,
    url: '/docs/errors/:code',
    operation: 'getErrorCode',
    summary: 'An error code: its cause, its cure, an example',
    params: CodeParam,
    answers: { 200: ErrorPage },
    mediaTypes: [html, json],
  },
];

/** What the answers of these routes look like. */
const floorExamples = {
  Liveness: { status: 'live' },
  Readiness: { status: 'ready', dependencies: { postgres: 'up', redis: 'up' } },
  Unreadiness: { status: 'unready', dependencies: { postgres: 'up', redis: 'down' } },
  'getMetrics answer text/plain':
    '# HELP process_cpu_seconds_total Total user and system CPU time spent in seconds.\n# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total 1.25\n',
  OpenApiDocument: { openapi: '3.1.1', info: { title: 'Millrace', version: '2026-11-20' }, paths: {} },
  ErrorPage: errorPage('METER_NOT_FOUND'),
  ErrorIndex: { items: [errorPage('METER_NOT_FOUND')] },
  Problem: errorPage('METER_NOT_FOUND').example,
  '/docs/errors/:code': 'METER_NOT_FOUND',
};

const folder = dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json'));
const fromPackage = (name: string) => () => readFile(join(folder, name));
const fromText = (text: string) => async () => Buffer.from(text);

const explorerScript = `window.onload = () => {
  window.ui = SwaggerUIBundle({ url: '/openapi.json', dom_id: '#explorer', deepLinking: true, persistAuthorization: false, validatorUrl: null });
};
`;

const assets: Readonly<Record<string, { readonly type: string; readonly read: () => Promise<Buffer> }>> = {
  'swagger-ui.css': { type: 'text/css; charset=utf-8', read: fromPackage('swagger-ui.css') },
  'swagger-ui-bundle.js': { type: 'text/javascript; charset=utf-8', read: fromPackage('swagger-ui-bundle.js') },
  'favicon-32x32.png': { type: 'image/png', read: fromPackage('favicon-32x32.png') },
  'explorer.js': { type: 'text/javascript; charset=utf-8', read: fromText(explorerScript) },
  'errors.css': { type: 'text/css; charset=utf-8', read: fromText(errorCss) },
};

const explorerHtml = (title: string): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<link rel="stylesheet" href="/docs/assets/swagger-ui.css">
<link rel="icon" type="image/png" href="/docs/assets/favicon-32x32.png">
</head>
<body>
<div id="explorer"></div>
<script src="/docs/assets/swagger-ui-bundle.js"></script>
<script src="/docs/assets/explorer.js"></script>
</body>
</html>
`;

/** Swagger UI draws its icons from data URLs; of everything else, only what this host serves. */
const explorerPolicy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const pagePolicy = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** A browser asks for HTML; anything else that takes JSON gets JSON. */
const wantsJson = ({ headers }: FastifyRequest): boolean => preferredType(headers.accept, [json, html]) === json;

const sendHtml = (reply: FastifyReply, policy: string, text: string): FastifyReply =>
  reply.header('content-security-policy', policy).type('text/html; charset=utf-8').send(text);

/** What is cached is asked for again, and answered with 304 while it is the same. */
const sendCached = (request: FastifyRequest, reply: FastifyReply, type: string, body: Buffer): FastifyReply => {
  const etag = `"${hash('sha256', body, 'base64url').slice(0, 22)}"`;
  reply.headers({ etag, 'cache-control': 'public, max-age=0, must-revalidate' });
  return request.headers['if-none-match'] === etag ? reply.code(304).send() : reply.type(type).send(body);
};

/**
 * Adds the routes of the documents. To be called before any other route is added: a route after it has to say what it
 * is, by `operation` in its config or by `operationOf`. The document is made when it is first asked for, or when the
 * process is ready.
 */
export const documentRoutes = (
  app: FastifyInstance,
  info: DocumentInfo,
  operationOf: (config: NonNullable<FastifyRequest['routeOptions']['config']>) => Operation | undefined = (config) =>
    config.operation,
): { readonly document: () => Json } => {
  const operations: Operation[] = [...floor];
  let made: Json | undefined;
  const document = (): Json => {
    made ??= openApiDocument(
      { ...info, tags: { ...info.tags, [tag]: floorTag }, examples: { ...floorExamples, ...info.examples } },
      operations,
    );
    return made;
  };

  app.get('/openapi.json', async () => document());
  app.get('/docs', async (_request, reply) => sendHtml(reply, explorerPolicy, explorerHtml(info.title)));
  app.get<{ Params: { name: string } }>('/docs/assets/:name', async (request, reply) => {
    const asset = Object.hasOwn(assets, request.params.name) ? assets[request.params.name] : undefined;
    if (!asset) throw new FailureError('NOT_FOUND');
    return sendCached(request, reply, asset.type, await asset.read());
  });
  app.get('/docs/errors', async (request, reply) =>
    wantsJson(request) ? { items: errorPages() } : sendHtml(reply, pagePolicy, errorIndexHtml(errorPages())),
  );
  app.get<{ Params: { code: string } }>('/docs/errors/:code', async (request, reply) => {
    const { code } = request.params;
    if (!isFailureCode(code)) throw new FailureError('NOT_FOUND', 'There is no such error code');
    return wantsJson(request) ? errorPage(code) : sendHtml(reply, pagePolicy, errorPageHtml(errorPage(code)));
  });

  app.addHook('onRoute', ({ method, url, config = {} }) => {
    // It is the GET of its path without the body; methods.ts adds it.
    if (method === 'HEAD') return;
    const operation = operationOf(config as never);
    assert(operation, `${method} ${url} has no place in the OpenAPI document`);
    operations.push(operation);
  });
  app.addHook('onReady', async () => {
    document();
  });
  return { document };
};
