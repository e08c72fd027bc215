/** Raters and invoicers beside those of a pipeline. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { processes } from '#platform/config/processes.ts';
import { loginUrl } from '#platform/stores/postgres.ts';
import { databasePassword, type Pipeline, type ServerUrls } from './pipeline.ts';
import { compileCache } from './quick.ts';

export type HandStarted = {
  readonly process: ChildProcess;
  readonly lines: readonly string[];
  readonly stop: () => Promise<void>;
};

/** Resolves once it says that it is ready. */
export const startByHand = async (
  name: 'rater' | 'invoicer',
  pipeline: Pipeline,
  urls: ServerUrls,
  settings: Readonly<Record<string, string>> = {},
): Promise<HandStarted> => {
  const child = spawn(process.execPath, [processes[name].file], {
    env: {
      PATH: process.env.PATH,
      ...compileCache,
      NATS_URL: urls.nats,
      CLICKHOUSE_URL: pipeline.clickhouseUrl,
      DATABASE_URL: loginUrl(pipeline.databaseUrl, 'millrace_worker', databasePassword),
      MILLRACE_STREAM: pipeline.streamName,
      MILLRACE_STREAM_BYTES_MAX: '268435456',
      MILLRACE_RATER_PORT: '0',
      MILLRACE_INVOICER_PORT: '0',
      ...settings,
    },
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  const lines: string[] = [];
  createInterface({ input: child.stdout as Readable }).on('line', (line) => lines.push(line));
  const exited = once(child, 'exit');
  await Promise.race([
    once(child, 'message'),
    exited.then(([code]) => Promise.reject(new Error(`the ${name} ended with ${code}: ${lines.join('\n')}`))),
  ]);
  return {
    process: child,
    lines,
    stop: async () => {
      child.kill('SIGTERM');
      await exited;
    },
  };
};

export type HandStartedRater = HandStarted & {
  /** Shards that it has said to have rated, so far: the line of one may come after the end of its run. */
  readonly rated: () => number;
};

export const startRaterByHand = async (
  pipeline: Pipeline,
  urls: ServerUrls,
  settings: Readonly<Record<string, string>> = {},
): Promise<HandStartedRater> => {
  const started = await startByHand('rater', pipeline, urls, settings);
  return { ...started, rated: () => started.lines.filter((line) => line.includes('"a shard was rated"')).length };
};
