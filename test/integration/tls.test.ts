/**
 * The whole pipeline over TLS: our real processes with certificates of a CA made here, clients with and without one.
 */
import { spawn } from 'node:child_process';
import { copyFileSync, readFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { processes, processNames } from '#platform/config/processes.ts';
import { createCertificates, type Pair } from '../support/certificates.ts';
import { llmRequest } from '../support/llm-pro.ts';
import { type ApiAnswer, type Pipeline, startPipeline, until } from '../support/pipeline.ts';
import { compileCache } from '../support/quick.ts';
import { exchangeRaw } from '../support/raw-http.ts';

const certificates = createCertificates();
const authority = certificates.authority('ours');
const client = authority.issue('client');
const stranger = certificates.authority('others').issue('stranger');
const certFile = join(certificates.folder, 'served.crt');
const keyFile = join(certificates.folder, 'served.key');
const serve = ({ cert, key }: Pair) => {
  copyFileSync(cert, certFile);
  copyFileSync(key, keyFile);
};
serve(authority.issue('first'));

const tlsSettings = {
  MILLRACE_TLS_CERT_FILE: certFile,
  MILLRACE_TLS_KEY_FILE: keyFile,
  MILLRACE_TLS_CLIENT_CA_FILE: authority.cert,
  MILLRACE_TLS_RELOAD_SECONDS: '1',
};

let pipeline: Pipeline;
beforeAll(async () => {
  pipeline = await startPipeline(inject('serverUrls'), tlsSettings);
});
afterAll(async () => {
  await pipeline?.stop();
  certificates.end();
});

const trusting = { ca: readFileSync(authority.cert) };
const shows = (pair: Pair) => ({ ...trusting, cert: readFileSync(pair.cert), key: readFileSync(pair.key) });
const agent = new Agent({ ...shows(client), keepAlive: false });
afterAll(() => agent.destroy());

const call = (
  url: string,
  method: string,
  path: string,
  body?: unknown,
): Promise<Pick<ApiAnswer, 'status' | 'body'> & { hsts: unknown }> => {
  const { promise, resolve, reject } = Promise.withResolvers<Pick<ApiAnswer, 'status' | 'body'> & { hsts: unknown }>();
  const headers = {
    authorization: `Bearer ${pipeline.key}`,
    ...(body === undefined ? {} : { 'content-type': 'application/json' }),
  };
  const sent = request(`${url}${path}`, { method, agent, headers }, async (answer) => {
    const text = Buffer.concat(await answer.toArray()).toString();
    const isJson = /json/.test(answer.headers['content-type'] ?? '');
    resolve({
      status: answer.statusCode ?? 0,
      body: isJson ? JSON.parse(text) : text,
      hsts: answer.headers['strict-transport-security'],
    });
  });
  sent.on('error', reject).end(body === undefined ? undefined : JSON.stringify(body));
  return promise;
};

/** The name on the certificate that a process serves, to a client who shows one. */
const nameAt = (url: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url);
    const socket: TLSSocket = connect({ host: hostname, port: Number(port), ...shows(client) }, () => {
      resolve(String(socket.getPeerCertificate().subject.CN));
      socket.destroy();
    }).on('error', reject);
  });

describe('the pipeline over TLS', () => {
  it('says https for all of its processes, and takes and stores usage', async () => {
    const { stack } = pipeline;
    const services = stack.processes.filter(({ name }) => processNames.some((one) => one === name));
    expect(services.map(({ url }) => new URL(url ?? '').protocol)).toEqual(processNames.map(() => 'https:'));
    expect(
      await call(stack.apiUrl, 'POST', '/v1/customers', { external_id: 'over-tls', name: 'Over TLS' }),
    ).toMatchObject({
      status: 201,
      hsts: 'max-age=31536000',
    });
    const event = llmRequest('over-tls', 'over-tls', Date.now() - 60_000, { input: 1, output: 1 });
    expect(await call(stack.ingestUrl, 'POST', '/v1/events', event)).toMatchObject({
      status: 200,
      body: { accepted: 1 },
    });
    const sink = services.find(({ name }) => name === 'sink')?.url ?? '';
    await until(
      () => call(sink, 'GET', '/metrics'),
      ({ body }) => /^millrace_sink_rows_total\S* 1$/m.test(body),
    );
  });

  it('answers nobody without a certificate of the CA for clients, and no plain HTTP', async () => {
    for (const url of [pipeline.stack.apiUrl, pipeline.stack.ingestUrl]) {
      for (const options of [trusting, shows(stranger)]) {
        const answered = new Promise((resolve, reject) =>
          request(`${url}/health/live`, { ...options, agent: false }, resolve)
            .on('error', reject)
            .end(),
        );
        await expect(answered).rejects.toThrow();
      }
      expect(await exchangeRaw(url, 'GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n')).toBeUndefined();
      expect(await call(url, 'GET', '/health/live')).toMatchObject({ status: 200 });
    }
  });

  it('takes a renewed certificate without a restart', async () => {
    const { stack } = pipeline;
    const pids = stack.processes.map(({ pid }) => pid);
    for (const url of [stack.apiUrl, stack.ingestUrl]) expect(await nameAt(url)).toBe('first');
    serve(authority.issue('second'));
    for (const url of [stack.apiUrl, stack.ingestUrl]) {
      await until(
        () => nameAt(url),
        (name) => name === 'second',
      );
    }
    expect(stack.processes.map(({ pid }) => pid)).toEqual(pids);
  });
});

describe('a start that could not be trusted', () => {
  it.each([
    [
      'a key that belongs to another certificate',
      { ...tlsSettings, MILLRACE_TLS_KEY_FILE: client.key },
      /MILLRACE_TLS_KEY_FILE must name the key of the certificate/,
    ],
    [
      'a key that is not there',
      { ...tlsSettings, MILLRACE_TLS_KEY_FILE: '/nowhere.key' },
      /MILLRACE_TLS_KEY_FILE can't be read: ENOENT/,
    ],
    ['plain HTTP on all addresses', { MILLRACE_HOST: '0.0.0.0' }, /MILLRACE_HOST 0\.0\.0\.0 is not a loopback address/],
  ])('ends before anything runs, in plain words: %s', async (_what, settings, words) => {
    await expect(startPipeline(inject('serverUrls'), settings)).rejects.toThrow(words);
  });

  it.each(Object.values(processes).map(({ file }) => file))(
    '%s, started by itself, says the same and ends with 1',
    async (file) => {
      const root = fileURLToPath(new URL('../../', import.meta.url));
      const child = spawn(process.execPath, [file], {
        cwd: root,
        env: { ...process.env, ...compileCache, ...required, MILLRACE_HOST: '::' },
      });
      const [errors, code] = await Promise.all([
        child.stderr.toArray(),
        new Promise((resolve) => child.once('exit', resolve)),
      ]);
      expect(Buffer.concat(errors).toString()).toMatch(
        /MILLRACE_HOST :: is not a loopback address: give MILLRACE_TLS_CERT_FILE/,
      );
      expect(code).toBe(1);
    },
  );
});

/** Enough of a configuration; nothing of it is ever asked. */
const required = {
  NATS_URL: 'nats://127.0.0.1:1',
  CLICKHOUSE_URL: 'http://127.0.0.1:1/millrace',
  REDIS_URL: 'redis://127.0.0.1:1',
  DATABASE_URL: 'postgres://a:b@127.0.0.1:1/millrace',
  MILLRACE_KEY_PEPPER: 'p'.repeat(32),
  MILLRACE_MASTER_KEY: Buffer.alloc(32, 1).toString('base64'),
};
