/**
 * A pipeline that files share, each under an organization of its own. A start takes 4 to 10 s of CPU; an organization
 * takes none. For a file that asks for no settings, ends no process, and says nothing of a database as a whole. Nor
 * does it write by hand what the audit log does not say: others verify the database after it.
 *
 * Files of one process of the test runner share theirs, one after the other, so that none has another file's load in
 * it. What an organization does not see of another is held by the tests of isolation, which have a pipeline to
 * themselves.
 */
import { rmSync } from 'node:fs';
import { type ProcessName, processNames } from '#platform/config/processes.ts';
import { killChildren } from '#platform/local/processes.ts';
import { closePeriodBy, type Pipeline, type ServerUrls, startPipeline } from './pipeline.ts';
import { addTenant } from './tenants.ts';

type Shared = { readonly services: readonly ProcessName[]; readonly started: Promise<Pipeline> };

const running: Shared[] = [];

/** Nothing else ends them: they live as long as the process of the test runner, which is ended by SIGTERM. */
const start = async (urls: ServerUrls, services: readonly ProcessName[]): Promise<Pipeline> => {
  const pipeline = await startPipeline(urls, {}, { services });
  const { home } = pipeline.stack;
  const end = () => {
    killChildren(home);
    rmSync(home, { recursive: true, force: true });
  };
  process.once('exit', end);
  process.once('SIGTERM', () => {
    end();
    process.kill(process.pid, 'SIGTERM');
  });
  return pipeline;
};

/** Any running one that has the services will do. */
const findOrStart = (urls: ServerUrls, services: readonly ProcessName[]): Promise<Pipeline> => {
  const found = running.find((shared) => services.every((service) => shared.services.includes(service)));
  if (found) return found.started;
  const started = start(urls, services);
  running.push({ services, started });
  return started;
};

/** Under a new organization. Its `stop` ends nothing. */
export const sharePipeline = async (
  urls: ServerUrls,
  services: readonly ProcessName[] = processNames,
): Promise<Pipeline> => {
  const pipeline = await findOrStart(urls, services);
  const { key, api, ingest, organizationId, sandboxId } = await addTenant(pipeline);
  return {
    ...pipeline,
    key,
    organizationId,
    sandboxId,
    api,
    closePeriod: closePeriodBy(api),
    sendEvents: (body, headers) => ingest('POST', '/v1/events', body, headers),
    stop: async () => {},
  };
};
