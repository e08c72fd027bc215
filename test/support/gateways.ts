/** Gateways beside the one of a pipeline, and clients whose connections are counted. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { createInterface } from 'node:readline';
import { loginUrl } from '#platform/stores/postgres.ts';
import { databasePassword, type Pipeline, type ServerUrls } from './pipeline.ts';
import { compileCache } from './quick.ts';

/** Those of a pipeline whose gateway another one is started beside. */
export const sharedSecrets = {
  MILLRACE_KEY_PEPPER: 'the-pepper-of-two-gateways-is-long-enough',
  MILLRACE_MASTER_KEY: Buffer.alloc(32, 5).toString('base64'),
};

export type LogLine = { readonly msg: string; readonly pid: number; readonly url?: string; readonly worker?: number };

export type HandStarted = {
  readonly url: string;
  readonly process: ChildProcess;
  readonly lines: readonly LogLine[];
  readonly exited: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
};

/** Pids of the workers that serve, of those whose lines these are. */
export const workersIn = (lines: readonly LogLine[], supervisor: number): number[] => {
  const dead = new Set(lines.filter(({ msg }) => msg === 'a worker died').map(({ worker }) => worker));
  return lines.filter(({ msg, pid }) => msg === 'ready' && pid !== supervisor && !dead.has(pid)).map(({ pid }) => pid);
};

/**
 * A gateway on a free port and the stores of a pipeline that has the `sharedSecrets`. Resolves once it says that it is
 * ready.
 */
export const startGatewayByHand = async (
  pipeline: Pipeline,
  urls: ServerUrls,
  settings: Readonly<Record<string, string>> = {},
): Promise<HandStarted> => {
  const child = spawn(process.execPath, ['ingest/gateway/gateway.main.ts'], {
    env: {
      PATH: process.env.PATH,
      ...compileCache,
      NATS_URL: urls.nats,
      REDIS_URL: urls.redis,
      DATABASE_URL: loginUrl(pipeline.databaseUrl, 'millrace_gateway', databasePassword),
      MILLRACE_STREAM: pipeline.streamName,
      MILLRACE_STREAM_BYTES_MAX: '268435456',
      MILLRACE_INGEST_PORT: '0',
      ...sharedSecrets,
      ...settings,
    },
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  const lines: LogLine[] = [];
  if (child.stdout)
    createInterface({ input: child.stdout }).on('line', (line) => lines.push(JSON.parse(line) as LogLine));
  const exited = once(child, 'exit').then(([code, signal]) => ({ code, signal }));
  const [ready] = (await Promise.race([
    once(child, 'message'),
    exited.then(() => Promise.reject(new Error(`the gateway ended: ${JSON.stringify(lines)}`))),
  ])) as [{ readonly url: string }];
  return { url: ready.url, process: child, lines, exited };
};

type Answer = {
  readonly status: number;
  readonly body: { readonly accepted?: number; readonly duplicates?: number };
};

export type Client = { readonly send: (body: unknown) => Promise<Answer>; readonly close: () => void };

/** One connection of its own, which stays open. `send` rejects where it breaks. */
export const openClient = (base: string, key: string): Client => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const send = async (body: unknown): Promise<Answer> => {
    const sent = request(new URL('/v1/events', base), {
      method: 'POST',
      agent,
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    });
    sent.end(JSON.stringify(body));
    const [response] = await once(sent, 'response');
    let text = '';
    for await (const part of response) text += part;
    return { status: response.statusCode, body: JSON.parse(text) };
  };
  return { send, close: () => agent.destroy() };
};
