/** The four servers, started once for all integration tests. */
import type { TestProject } from 'vitest/node';
import { killChildren } from '#platform/local/processes.ts';
import { makeBundles } from './bundles.ts';
import { makeTemplate } from './fresh-stores.ts';
import { databasePassword, type ServerUrls, startTestServers } from './pipeline.ts';

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
  const databaseTemplate = await makeTemplate(urls, databasePassword);
  project.provide('serverUrls', { ...urls, databaseTemplate, areBundled: true });
  return async () => {
    process.off('exit', kill);
    await stop();
  };
};
