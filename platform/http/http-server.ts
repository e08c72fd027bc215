/**
 * The server below Fastify: plain or with TLS, and its bounds in time and number. What Node refuses before there is a
 * request (no HTTP, too slow, headers too large) is answered with a problem document, too, and its connection ends.
 */
import { createServer as createPlainServer, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type Server as HttpsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { type FailureCode, failures, toProblem } from '#schemas/failures.ts';
import type { Config } from '../config/config.ts';
import { newId } from '../process/ids.ts';
import type { Log } from '../process/log.ts';
import { createTls, type Tls } from '../process/tls.ts';
import { type Cors, corsHeaders } from './cors.ts';
import { floorHeaders, headersMax } from './headers.ts';

export type ServerBounds = {
  /** From its first byte to its last a request may take this long (408), and its headers a part of it. */
  readonly requestTimeoutMs: number;
  /** A connection on which nothing moves for this long ends: its client does not read the answer. */
  readonly silenceMs: number;
  /** Beyond it a new connection is closed at once. */
  readonly connectionsMax: number;
  /** Absent for plain HTTP. */
  readonly tls?: Tls;
};

export const defaultBounds: ServerBounds = { requestTimeoutMs: 60_000, silenceMs: 120_000, connectionsMax: 10_000 };

/** The bounds as a process is configured. The files were judged by the configuration. */
export const serverBoundsOf = (config: Config, log: Log): ServerBounds => ({
  requestTimeoutMs: config.requestTimeoutMs,
  // An answer is being worked on meanwhile, and no work of ours takes longer than this.
  silenceMs: Math.max(defaultBounds.silenceMs, 2 * config.requestTimeoutMs),
  connectionsMax: config.connectionsMax,
  ...(config.tlsCertFile !== '' && {
    tls: createTls(
      { certFile: config.tlsCertFile, keyFile: config.tlsKeyFile, clientCaFile: config.tlsClientCaFile },
      config.tlsReloadSeconds * 1000,
      log,
    ),
  }),
});

const headersTimeoutMsMax = 15_000;
const checkMsMax = 2_000;

export const createServer = (handler: RequestListener, bounds: ServerBounds): Server | HttpsServer => {
  const { requestTimeoutMs, tls } = bounds;
  const options = {
    requestTimeout: requestTimeoutMs,
    headersTimeout: Math.min(headersTimeoutMsMax, requestTimeoutMs),
    // How late a timeout may be noticed; Node's own default is 30 s.
    connectionsCheckingInterval: Math.min(checkMsMax, Math.ceil(requestTimeoutMs / 4)),
    keepAliveTimeout: 72_000,
    maxHeaderSize: 16_384,
    // headers.ts refuses such a request in our own form.
    requireHostHeader: false,
    noDelay: true,
  };
  // Node's own default for a handshake is 120 s.
  const server = tls
    ? createTlsServer({ ...options, ...tls.options, handshakeTimeout: 10_000 }, handler)
    : createPlainServer(options, handler);
  server.timeout = bounds.silenceMs;
  server.maxConnections = bounds.connectionsMax;
  // Node drops the headers beyond it without a word; one more than the limit, so that we see it and refuse.
  server.maxHeadersCount = headersMax + 1;
  // An expectation that we don't know may be ignored (RFC 9110, 10.1.1); Node's own answer has no body and none of our
  // headers.
  server.on('checkExpectation', handler);
  // Without it Node asks for every body at once; http.ts asks for those alone that will be read.
  server.on('checkContinue', handler);
  if (tls) tls.renew(server as HttpsServer);
  return server;
};

const isTls = (server: object): boolean => 'setSecureContext' in server;

/** Where a server listens, as a URL. */
export const urlOf = (server: Server): string => {
  const { address, family, port } = server.address() as AddressInfo;
  return `${isTls(server) ? 'https' : 'http'}://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
};

const codeOfClientError = (code = ''): FailureCode | undefined => {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return 'REQUEST_TIMEOUT';
  if (code === 'HPE_HEADER_OVERFLOW') return 'HEADERS_TOO_LARGE';
  return code.startsWith('HPE_') ? 'BAD_REQUEST' : undefined;
};

/**
 * How long a client may take to read why it is refused. A connection that is cut at once loses the answer on its way.
 */
const lingerMs = 1_000;

/**
 * Answers what is no request, where an answer can only be taken for that one: nobody else's answer is due before it,
 * and none has begun. A failed handshake, a lost connection and plain HTTP on a TLS port just end. Gives the code that
 * was answered. A web page can read the answer where the headers of its request were read: of a body that comes too
 * slowly, but not of what is no HTTP.
 */
export const answerClientError = (
  error: Error & { code?: string },
  socket: Socket,
  apiVersion: string,
  cors?: Cors,
): FailureCode | undefined => {
  const code = codeOfClientError(error.code);
  // Node keeps the response whose turn it is here, and looks at it the same way in its own answer.
  const due = (socket as { _httpMessage?: ServerResponse | null })._httpMessage;
  // What came whole gets its own answer: a body behind a request that announced none is what is no request here.
  if (code && socket.writable && due && !due.headersSent && due.req.complete) {
    due.shouldKeepAlive = false;
    due.once('finish', () => socket.destroySoon());
    return undefined;
  }
  if (!code || !socket.writable || due?.headersSent) {
    socket.destroy();
    return undefined;
  }
  const requestId = newId('req');
  const body = JSON.stringify(
    toProblem(code, requestId, code === 'BAD_REQUEST' ? 'The request is not valid HTTP' : undefined),
  );
  const headers = {
    ...floorHeaders(requestId, apiVersion, 'encrypted' in socket),
    ...corsHeaders(cors, due?.req.headers.origin),
    'content-type': 'application/problem+json',
    'content-length': String(Buffer.byteLength(body)),
    connection: 'close',
  };
  const head = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(`HTTP/1.1 ${failures[code].status} ${failures[code].title}\r\n${head.join('')}\r\n${body}`);
  socket.pause();
  setTimeout(() => socket.destroy(), lingerMs).unref();
  return code;
};
