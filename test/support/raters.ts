/** Raters beside the one of a pipeline. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { processes } from '#platform/config/processes.ts';
import { loginUrl } from '#platform/stores/postgres.ts';
import { databasePassword, type Pipeline, type ServerUrls } from './pipeline.ts';
import { compileCache } from './quick.ts';

/** Resolves once it says that it is ready, with what ends it. */
export const startRaterByHand = async (
  pipeline: Pipeline,
  urls: ServerUrls,
  settings: Readonly<Record<string, string>> = {},
): Promise<{ readonly process: ChildProcess; readonly stop: () => Promise<void> }> => {
  const child = spawn(process.execPath, [processes.rater.file], {
    env: {
      PATH: process.env.PATH,
      ...compileCache,
      NATS_URL: urls.nats,
      CLICKHOUSE_URL: pipeline.clickhouseUrl,
      DATABASE_URL: loginUrl(pipeline.databaseUrl, 'millrace_worker', databasePassword),
      MILLRACE_STREAM: pipeline.streamName,
      MILLRACE_STREAM_BYTES_MAX: '268435456',
      MILLRACE_RATER_PORT: '0',
      MILLRACE_LOG_LEVEL: 'warn',
      ...settings,
    },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const exited = once(child, 'exit');
  await Promise.race([
    once(child, 'message'),
    exited.then(([code]) => Promise.reject(new Error(`the rater ended with ${code}`))),
  ]);
  return {
    process: child,
    stop: async () => {
      child.kill('SIGTERM');
      await exited;
    },
  };
};
