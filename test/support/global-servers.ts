/** The four servers, started once for all integration tests. */
import type { TestProject } from 'vitest/node';
import { killChildren } from '#platform/local/processes.ts';
import { makeBundles } from './bundles.ts';
import { makeTemplate } from './fresh-stores.ts';
import { databasePassword, type ServerUrls, startTestServers } from './pipeline.ts';
import { serveSharedStack } from './shared-stack.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    serverUrls: ServerUrls;
  }
}

export default async (project: TestProject): Promise<() => Promise<void>> => {
  const [{ home, urls, stop }] = await Promise.all([startTestServers(), makeBundles()]);
  // A run that is interrupted has no teardown.
  const kill = () => killChildren(home);
  process.once('exit', kill);
  const template = await makeTemplate(urls, databasePassword);
  const serverUrls = { ...urls, template, areBundled: true };
  const shared = await serveSharedStack(serverUrls);
  project.provide('serverUrls', { ...serverUrls, sharedStack: shared.url });
  return async () => {
    await shared.stop();
    process.off('exit', kill);
    await stop();
  };
};
