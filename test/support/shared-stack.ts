/**
 * One stack of all our processes for all files of a run that have no settings of their own and disturb nobody. It
 * belongs to the process that runs the tests, which starts it when the first file asks for it over HTTP, and ends it at
 * the end of the run. An interrupted run takes it along: our processes end with whoever started them.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Stack } from '#platform/local/stack.ts';
import { type Pipeline, type ServerUrls, startPipeline } from './pipeline.ts';

/** What the processes of the tests are told of it. */
export type SharedStack = Pick<Pipeline, 'databaseUrl' | 'clickhouseUrl' | 'streamName'> &
  Pick<Stack, 'home' | 'apiUrl' | 'ingestUrl' | 'urls'>;

export const serveSharedStack = async (
  serverUrls: ServerUrls,
): Promise<{ readonly url: string; readonly stop: () => Promise<void> }> => {
  let started: Promise<Pipeline> | undefined;
  const server = createServer(async (_, response) => {
    try {
      started ??= startPipeline(serverUrls);
      const { stack, databaseUrl, clickhouseUrl, streamName } = await started;
      const { home, apiUrl, ingestUrl, urls } = stack;
      const told: SharedStack = { home, apiUrl, ingestUrl, urls, databaseUrl, clickhouseUrl, streamName };
      response.end(JSON.stringify(told));
    } catch (error) {
      response.writeHead(500).end(String(error));
    }
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    stop: async () => {
      server.closeAllConnections();
      server.close();
      // One that never came up has ended what it had started.
      await started?.then(
        (pipeline) => pipeline.stop(),
        () => {},
      );
    },
  };
};
