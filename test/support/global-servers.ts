/** The four servers, started once for all integration tests. */
import type { TestProject } from 'vitest/node';
import { type ServerUrls, startTestServers } from './pipeline.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    serverUrls: ServerUrls;
  }
}

export default async (project: TestProject): Promise<() => Promise<void>> => {
  const { urls, stop } = await startTestServers();
  project.provide('serverUrls', urls);
  return stop;
};
