/**
 * TLS of the HTTP floor in one process: what is refused at the start, who may connect, and a certificate that is
 * renewed.
 */
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { connect as connectPlain } from 'node:net';
import { join } from 'node:path';
import { type ConnectionOptions, connect, type DetailedPeerCertificate } from 'node:tls';
import type { FastifyInstance } from 'fastify';
import { type Logger, pino } from 'pino';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { ConfigError, loadConfig } from '../../../../platform/config/config.ts';
import { createHttpApp, listen } from '../../../../platform/http/http.ts';
import { defaultBounds } from '../../../../platform/http/http-server.ts';
import { createMetrics } from '../../../../platform/process/metrics.ts';
import { createTls, type TlsFiles, tlsFaults } from '../../../../platform/process/tls.ts';
import { createCertificates } from '../../../support/certificates.ts';
import { until } from '../../../support/pipeline.ts';

const certificates = createCertificates();
const ours = certificates.authority('ours');
const others = certificates.authority('others');
const server = ours.issue('server');
const client = ours.issue('client');
const stranger = others.issue('stranger');
afterAll(() => certificates.end());

const pathOf = (name: string) => join(certificates.folder, name);
const fileWith = (name: string, text: string | Buffer): string => {
  writeFileSync(pathOf(name), text);
  return pathOf(name);
};

const apps: FastifyInstance[] = [];
afterEach(async () => {
  for (const app of apps.splice(0)) await app.close();
});

const silent = pino({ level: 'silent' });

const start = async (files: Partial<TlsFiles> = {}, log: Logger = silent): Promise<{ url: string; port: number }> => {
  const tls = createTls({ certFile: server.cert, keyFile: server.key, clientCaFile: '', ...files }, 20, log);
  const app = createHttpApp({
    log: silent,
    metrics: createMetrics(),
    health: [],
    bodyBytesMax: 1_024,
    bounds: { ...defaultBounds, tls },
  });
  apps.push(app);
  const url = await listen(app, '127.0.0.1', 0);
  return { url, port: Number(new URL(url).port) };
};

type Answer = {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly by: DetailedPeerCertificate;
};

const get = (url: string, options: ConnectionOptions = {}): Promise<Answer> => {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  request(`${url}/health/live`, { ca: readFileSync(ours.cert), agent: false, ...options }, (answer) => {
    const by = (
      answer.socket as unknown as { getPeerCertificate: (detailed: true) => DetailedPeerCertificate }
    ).getPeerCertificate(true);
    answer.resume().on('end', () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, by }));
  })
    .on('error', reject)
    .end();
  return promise;
};

const handshake = (port: number, options: ConnectionOptions): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', ca: readFileSync(ours.cert), ...options }, () => {
      resolve(`${socket.getProtocol()}`);
      socket.destroy();
    }).on('error', reject);
  });

const shows = (pair: { cert: string; key: string }): ConnectionOptions => ({
  cert: readFileSync(pair.cert),
  key: readFileSync(pair.key),
});

describe('TLS files that are not usable', () => {
  const files = { certFile: server.cert, keyFile: server.key, clientCaFile: '' };

  it.each<[string, Partial<TlsFiles>, RegExp]>([
    [
      'a certificate without its key',
      { keyFile: '' },
      /^MILLRACE_TLS_CERT_FILE and MILLRACE_TLS_KEY_FILE must be given together$/,
    ],
    [
      'a key without its certificate',
      { certFile: '' },
      /^MILLRACE_TLS_CERT_FILE and MILLRACE_TLS_KEY_FILE must be given together$/,
    ],
    [
      'a CA alone',
      { certFile: '', keyFile: '', clientCaFile: ours.cert },
      /^MILLRACE_TLS_CLIENT_CA_FILE needs MILLRACE_TLS_CERT_FILE/,
    ],
    [
      'a certificate that is not there',
      { certFile: pathOf('absent') },
      /^MILLRACE_TLS_CERT_FILE can't be read: ENOENT/,
    ],
    ['a key that is not there', { keyFile: pathOf('absent') }, /^MILLRACE_TLS_KEY_FILE can't be read: ENOENT/],
    [
      'a CA that is not there',
      { clientCaFile: pathOf('absent') },
      /^MILLRACE_TLS_CLIENT_CA_FILE can't be read: ENOENT/,
    ],
    ['a folder', { keyFile: certificates.folder }, /^MILLRACE_TLS_KEY_FILE can't be read: EISDIR/],
    [
      'a certificate that is none',
      { certFile: server.key },
      /^MILLRACE_TLS_CERT_FILE must name a file with a certificate in PEM form$/,
    ],
    [
      'a key that is none',
      { keyFile: server.cert },
      /^MILLRACE_TLS_KEY_FILE must name a file with a private key in PEM form/,
    ],
    [
      'a CA that is none',
      { clientCaFile: server.key },
      /^MILLRACE_TLS_CLIENT_CA_FILE must name a file with a certificate/,
    ],
    ['an empty key', { keyFile: fileWith('empty', '') }, /^MILLRACE_TLS_KEY_FILE must name a file with a private key/],
    [
      'the key of another certificate',
      { keyFile: client.key },
      /^MILLRACE_TLS_KEY_FILE must name the key of the certificate in MILLRACE_TLS_CERT_FILE/,
    ],
  ])('%s: a plain sentence with the name of the variable', (_what, given, sentence) => {
    expect(tlsFaults({ ...files, ...given })).toEqual([expect.stringMatching(sentence)]);
  });

  it('are told together, and none of them repeats what is in a file', () => {
    const faults = tlsFaults({
      certFile: server.key,
      keyFile: server.cert,
      clientCaFile: fileWith('secret', 'hunter2'),
    });
    expect(faults).toHaveLength(3);
    expect(faults.join()).not.toMatch(/hunter2|BEGIN/);
  });

  it('are no faults where they are usable, or where there are none', () => {
    expect(tlsFaults(files)).toEqual([]);
    expect(tlsFaults({ ...files, clientCaFile: ours.cert })).toEqual([]);
    expect(tlsFaults({ certFile: '', keyFile: '', clientCaFile: '' })).toEqual([]);
  });

  it('keep a configuration from being taken', () => {
    const given = { MILLRACE_TLS_CERT_FILE: server.cert, MILLRACE_TLS_KEY_FILE: client.key };
    expect(() => loadConfig(given, [])).toThrow(ConfigError);
    expect(() => loadConfig({ ...given, MILLRACE_TLS_KEY_FILE: server.key }, [])).not.toThrow();
  });
});

describe('plain HTTP', () => {
  const faultsOf = (given: Record<string, string>): readonly string[] => {
    try {
      loadConfig(given, []);
      return [];
    } catch (error) {
      return (error as ConfigError).faults;
    }
  };
  const refusal = expect.stringMatching(
    /^MILLRACE_HOST .* is not a loopback address: .*MILLRACE_TLS_CERT_FILE.*MILLRACE_TLS_TERMINATED_BY_PROXY=true/,
  );

  it.each(['127.0.0.1', '127.255.255.254', '::1', '0:0:0:0:0:0:0:1', '::ffff:127.0.0.1', 'localhost', 'LOCALHOST', ''])(
    'on %s is fine',
    (host) => {
      expect(faultsOf({ MILLRACE_HOST: host })).toEqual([]);
    },
  );

  it.each([
    '0.0.0.0',
    '::',
    '10.0.0.1',
    '192.168.1.1',
    '128.0.0.1',
    '126.255.255.255',
    'fe80::1',
    '::ffff:10.0.0.1',
    '::2',
    '0',
    '127.1',
    'localhost.example.com',
    'api.example.com',
  ])('on %s is refused', (host) => {
    expect(faultsOf({ MILLRACE_HOST: host })).toEqual([refusal]);
    expect(faultsOf({ MILLRACE_HOST: host, MILLRACE_TLS_TERMINATED_BY_PROXY: 'false' })).toEqual([refusal]);
  });

  it('on any address is fine behind a proxy that does TLS, and HTTPS is fine anywhere', () => {
    expect(faultsOf({ MILLRACE_HOST: '0.0.0.0', MILLRACE_TLS_TERMINATED_BY_PROXY: 'true' })).toEqual([]);
    expect(
      faultsOf({ MILLRACE_HOST: '::', MILLRACE_TLS_CERT_FILE: server.cert, MILLRACE_TLS_KEY_FILE: server.key }),
    ).toEqual([]);
  });

  it.each(['yes', '1', 'TRUE', ' true'])('is not let through by a proxy of "%s": it must be true or false', (word) => {
    expect(faultsOf({ MILLRACE_TLS_TERMINATED_BY_PROXY: word })).toEqual([
      `MILLRACE_TLS_TERMINATED_BY_PROXY must be true or false, not "${word}"`,
    ]);
  });
});

describe('a server with TLS', () => {
  it('says https, serves over it, and asks browsers to stay with it', async () => {
    const { url } = await start();
    expect(url).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/);
    const answer = await get(url);
    expect(answer).toMatchObject({ status: 200, by: { subject: { CN: 'server' } } });
    expect(answer.headers['strict-transport-security']).toBe('max-age=31536000');
  });

  it.each([
    ['TLSv1.3', 'TLSv1.3'],
    ['TLSv1.2', 'TLSv1.2'],
  ] as const)('takes %s', async (version, spoken) => {
    const { port } = await start();
    expect(await handshake(port, { minVersion: version, maxVersion: version })).toBe(spoken);
  });

  it.each([
    ['TLS 1.1', { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }],
    ['a cipher without authentication of the text', { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-SHA256' }],
  ] as const)('refuses %s', async (_what, options) => {
    const { port, url } = await start();
    await expect(handshake(port, options)).rejects.toThrow(/alert|handshake/);
    expect(await get(url)).toMatchObject({ status: 200 });
  });

  it.each([
    ['plain HTTP', 'GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['noise', Buffer.alloc(300, 0xa5)],
    ['a handshake that breaks off', Buffer.from('16030100050100000100', 'hex')],
  ])('ends a connection of %s, and lives on', async (_what, bytes) => {
    const { port, url } = await start();
    const received = await new Promise<Buffer>((resolve) => {
      const parts: Buffer[] = [];
      const socket = connectPlain(port, '127.0.0.1', () => socket.end(bytes));
      socket.on('data', (part) => parts.push(Buffer.from(part)));
      socket.on('error', () => {});
      socket.on('close', () => resolve(Buffer.concat(parts)));
    });
    expect(received.toString('latin1')).not.toContain('HTTP/1.1 200');
    expect(await get(url)).toMatchObject({ status: 200 });
  });

  it('serves those who show a certificate of the CA for clients, and nobody else', async () => {
    const { url } = await start({ clientCaFile: ours.cert });
    expect(await get(url, shows(client))).toMatchObject({ status: 200 });
    await expect(get(url)).rejects.toThrow();
    await expect(get(url, shows(stranger))).rejects.toThrow();
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) await expect(get(url, { maxVersion })).rejects.toThrow();
    expect(await get(url, shows(client))).toMatchObject({ status: 200 });
  });
});

describe('the files of a running server', () => {
  const recorded = (): { log: Logger; lines: () => { msg: string; level: number }[] } => {
    const lines: string[] = [];
    return {
      log: pino({ level: 'info' }, { write: (line: string) => void lines.push(line) }),
      lines: () => lines.map((line) => JSON.parse(line)),
    };
  };
  const mounted = (name: string, pair: { cert: string; key: string }) => {
    const [certFile, keyFile] = [pathOf(`${name}-cert`), pathOf(`${name}-key`)];
    const put = (from: { cert?: string; key?: string }) => {
      if (from.cert) copyFileSync(from.cert, certFile);
      if (from.key) copyFileSync(from.key, keyFile);
    };
    put(pair);
    return { certFile, keyFile, put };
  };
  const served = async (url: string, options: ConnectionOptions = {}) => (await get(url, options)).by.subject.CN;

  it('may change: new connections get the new certificate, and no connection is cut', async () => {
    const files = mounted('renewed', server);
    const { url, port } = await start(files);
    const open = connect({ port, host: '127.0.0.1', ca: readFileSync(ours.cert) });
    await new Promise((resolve) => open.once('secureConnect', resolve));
    expect(await served(url)).toBe('server');
    files.put(ours.issue('renewed'));
    await until(
      () => served(url),
      (name) => name === 'renewed',
    );
    const answered = new Promise<string>((resolve) => open.once('data', (part) => resolve(String(part))));
    open.write('GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n');
    expect(await answered).toContain('HTTP/1.1 200');
    open.destroy();
  });

  it('stay as they were read where the new ones are not usable, which is told once, until they are', async () => {
    const files = mounted('broken', server);
    const { log, lines } = recorded();
    const { url } = await start(files, log);
    writeFileSync(files.certFile, readFileSync(server.cert).subarray(0, 200));
    await until(
      async () => lines().length,
      (count) => count === 1,
    );
    expect(await served(url)).toBe('server');
    files.put({ cert: client.cert });
    await until(
      async () => lines().length,
      (count) => count === 2,
    );
    expect(await served(url)).toBe('server');
    files.put({ key: client.key });
    await until(
      () => served(url),
      (name) => name === 'client',
    );
    expect(lines().map(({ level, msg }) => [level, msg])).toEqual([
      [40, 'the TLS files are not usable; the ones read before stay in use'],
      [40, 'the TLS files are not usable; the ones read before stay in use'],
      [30, 'the TLS certificate was renewed'],
    ]);
  });

  it('may change for clients, too: a CA that is replaced lets its clients in and the others no more', async () => {
    const ca = pathOf('client-ca');
    copyFileSync(ours.cert, ca);
    const { url } = await start({ clientCaFile: ca });
    expect(await served(url, shows(client))).toBe('server');
    copyFileSync(others.cert, ca);
    await until(
      () => served(url, shows(stranger)).catch((error: Error) => error.message),
      (name) => name === 'server',
    );
    await expect(get(url, shows(client))).rejects.toThrow();
  });
});
