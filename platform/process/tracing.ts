/**
 * Traces behind a switch: without an address of a collector nothing of OpenTelemetry is even loaded, and spans cost
 * nothing. A context is the text of W3C `traceparent`, so that it goes through a header, a stream message or a log as
 * it is. Rejected: automatic instrumentation, which patches modules as they are loaded and does not see ours; and a
 * context that travels by itself, where a batch belongs to many traces at once.
 */
import type { AttributeValue, Context, Span as OtelSpan, SpanContext } from '@opentelemetry/api';
import type { FastifyInstance } from 'fastify';
import { within } from './clock.ts';
import type { Log } from './log.ts';

/** `00-<trace id>-<span id>-<flags>`. */
export type TraceParent = string;

type Attributes = Readonly<Record<string, AttributeValue>>;

export type SpanOptions = {
  readonly parent?: TraceParent | undefined;
  readonly kind?: 'internal' | 'server' | 'producer' | 'consumer' | 'client';
  readonly attributes?: Attributes;
};

export type Span = {
  /** For what comes after it. Without tracing the parent's, so that a caller's trace goes on to whoever does trace. */
  readonly traceparent: TraceParent | undefined;
  /** `error`: what it failed with, an error or a code. */
  readonly end: (attributes?: Attributes, error?: unknown) => void;
};

export type Tracer = {
  readonly start: (name: string, options?: SpanOptions) => Span;
  /** Sends what is still held back, and waits for a collector that does not answer only so long. */
  readonly close: () => Promise<void>;
};

const shape = /^00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})$/;

/** A header that is not well formed begins a new trace, as the specification asks. */
export const extractTrace = (header: unknown): TraceParent | undefined =>
  typeof header === 'string' && shape.test(header) ? header : undefined;

/**
 * The trace of a billing run, made of its id: rater and invoicer work on its shards at different times in different
 * processes, and all of it is one trace without being stored. Whoever has the id of a run has the id of its trace: the
 * 32 digits behind `run_`.
 */
export const traceOfRun = (runId: string): TraceParent | undefined => {
  const digits = runId.slice(runId.indexOf('_') + 1);
  return extractTrace(`00-${digits}-${digits.slice(-16)}-01`);
};

export const noTracer: Tracer = {
  start: (_name, options) => ({ traceparent: options?.parent, end: () => {} }),
  close: async () => {},
};

/** Runs `work` in a span; what it throws stands on the span. */
export const inSpan = async <T>(
  tracer: Tracer,
  name: string,
  options: SpanOptions,
  work: (span: Span) => Promise<T>,
): Promise<T> => {
  const span = tracer.start(name, options);
  try {
    const result = await work(span);
    span.end();
    return result;
  } catch (error) {
    span.end(undefined, error);
    throw error;
  }
};

const flushMsMax = 2_000;
const spanKinds = { internal: 0, server: 1, client: 2, producer: 3, consumer: 4 } as const;
const statusError = 2;

/** `url` is that of OTLP over HTTP, with its path: `http://collector:4318/v1/traces`. Empty: no tracing. */
export const createTracer = async (url: string, name: string, log: Log): Promise<Tracer> => {
  if (url === '') return noTracer;
  const [{ ROOT_CONTEXT, trace }, sdk, { OTLPTraceExporter }, { resourceFromAttributes }] = await Promise.all([
    import('@opentelemetry/api'),
    import('@opentelemetry/sdk-trace'),
    import('@opentelemetry/exporter-trace-otlp-http'),
    import('@opentelemetry/resources'),
  ]);
  const provider = new sdk.TracerProvider({
    resource: resourceFromAttributes({ 'service.namespace': 'millrace', 'service.name': name }),
    // A caller that traces decides whether; else everything is traced, and the collector may leave out.
    sampler: new sdk.ParentBasedSampler({ root: new sdk.AlwaysOnSampler() }),
    // Beyond these bounds spans are dropped: a trace may be incomplete, and no request waits for its collector.
    spanProcessors: [
      new sdk.BatchSpanProcessor({
        exporter: new OTLPTraceExporter({ url, timeoutMillis: flushMsMax }),
        maxQueueSize: 8_192,
        maxExportBatchSize: 512,
        scheduledDelayMillis: 1_000,
      }),
    ],
  });
  const tracer = provider.getTracer('millrace');
  const contextOf = (parent: TraceParent | undefined): Context => {
    const [, traceId, spanId, flags] = shape.exec(parent ?? '') ?? [];
    if (traceId === undefined || spanId === undefined) return ROOT_CONTEXT;
    const context: SpanContext = { traceId, spanId, traceFlags: Number.parseInt(flags ?? '', 16) & 1, isRemote: true };
    return trace.setSpanContext(ROOT_CONTEXT, context);
  };
  const textOf = (span: OtelSpan): TraceParent => {
    const { traceId, spanId, traceFlags } = span.spanContext();
    return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`;
  };
  log.info({ url }, 'traces are sent');
  return {
    start: (spanName, { parent, kind = 'internal', attributes = {} } = {}) => {
      const span = tracer.startSpan(
        spanName,
        { kind: spanKinds[kind], attributes: { ...attributes } },
        contextOf(parent),
      );
      return {
        traceparent: textOf(span),
        end: (more, error) => {
          if (more) span.setAttributes({ ...more });
          if (error !== undefined) {
            // The type and not the words, which may quote a caller's data.
            const type = error instanceof Error ? error.name : String(error);
            span.setAttribute('error.type', type);
            span.setStatus({ code: statusError, message: type });
          }
          span.end();
        },
      };
    },
    close: async () => {
      await within(flushMsMax, provider.shutdown()).catch((error) =>
        log.warn({ err: error }, 'the last spans were not sent'),
      );
    },
  };
};

declare module 'fastify' {
  interface FastifyRequest {
    /** The context of the request's span; without tracing the caller's own. */
    traceparent: TraceParent | undefined;
    /** Undefined for what is not traced. */
    span: Span | undefined;
  }
}

/**
 * A span for every request under `/v1`, as the child of the caller's. What a scraper or a load balancer asks is no part
 * of anybody's story.
 */
export const traceRequests = (app: FastifyInstance, tracer: Tracer): void => {
  app.decorateRequest('traceparent', undefined);
  app.decorateRequest('span', undefined);
  app.addHook('onRequest', async (request) => {
    request.traceparent = extractTrace(request.headers.traceparent);
    const route = request.routeOptions.url;
    if (tracer === noTracer || !route?.startsWith('/v1/')) return;
    request.span = tracer.start(`${request.method} ${route}`, {
      parent: request.traceparent,
      kind: 'server',
      attributes: { 'http.request.method': request.method, 'http.route': route, request_id: request.id },
    });
    request.traceparent = request.span.traceparent;
  });
  app.addHook('onResponse', async (request, reply) => {
    request.span?.end(
      { 'http.response.status_code': reply.statusCode },
      reply.statusCode >= 500 ? (reply.failureCode ?? reply.statusCode) : undefined,
    );
  });
  // A caller that went away gets no response, and its span ends all the same.
  app.addHook('onRequestAbort', async (request) => request.span?.end({ aborted: true }));
};
