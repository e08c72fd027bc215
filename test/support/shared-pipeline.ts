/**
 * A pipeline for a file that needs nothing but both hosts: the stack is that of the whole run (`shared-stack.ts`), the
 * organization is the file's own. It has no settings and no processes to stop, and shares its database with others.
 */

import { recordChange } from '#platform/audit/record-change.ts';
import type { Stack } from '#platform/local/stack.ts';
import { bundled } from './bundles.ts';
import { openPipeline, type Pipeline, type ServerUrls } from './pipeline.ts';
import type { SharedStack } from './shared-stack.ts';
import { addTenant, type Tenant } from './tenants.ts';
import { verifyBy } from './verify-command.ts';

const refuse = (what: string) => (): never => {
  throw new Error(`${what} a stack that files share: start one for this file alone, by startPipeline`);
};

/** As far as a file may know of it. */
const sharedStackFrom = ({ home, apiUrl, ingestUrl, urls }: SharedStack): Stack => ({
  home,
  apiUrl,
  ingestUrl,
  urls,
  get apiKey() {
    return refuse('nobody has the first key of')();
  },
  natsSyncAlways: null,
  get processes() {
    return refuse('nobody looks at the processes of')();
  },
  stop: refuse('nobody stops'),
  kill: refuse('nobody kills'),
});

/** Recorded as the first organization is, so that `verify` finds an entry for everything. */
const addRecordedTenant = async (pipeline: Pipeline): Promise<Tenant> => {
  const tenant = await addTenant(pipeline);
  const { organizationId, sandboxId } = tenant;
  await pipeline.asOwner.transaction(async ({ query }) => {
    const { rows } = await query<{ id: string }>('SELECT id FROM api_keys WHERE organization_id = $1', [
      organizationId,
    ]);
    const by = { actor: 'bootstrap', requestId: undefined, result: 'done' } as const;
    const made = [
      ...[organizationId, sandboxId].map((id) => ({
        action: 'organization.created',
        objectType: 'organization' as const,
        objectId: id,
      })),
      ...rows.map(({ id }) => ({ action: 'api_key.created', objectType: 'api_key' as const, objectId: id })),
    ];
    await recordChange({ query, organizationId }, by, made, Date.now());
  });
  return tenant;
};

export const sharedPipeline = async ({ sharedStack = '' }: ServerUrls): Promise<Pipeline> => {
  const answer = await fetch(sharedStack);
  if (!answer.ok) throw new Error(`the stack that files share: ${await answer.text()}`);
  const shared = (await answer.json()) as SharedStack;
  const stack = sharedStackFrom(shared);
  const { databaseUrl, clickhouseUrl, streamName } = shared;
  const first = openPipeline({ stack, key: '', databaseUrl, clickhouseUrl, streamName });
  const { key, organizationId: id, sandboxId } = await addRecordedTenant(first);
  await first.stop();
  verifyBy(databaseUrl, { fileOf: bundled, organizations: [id, sandboxId] });
  return openPipeline({ stack, key, databaseUrl, clickhouseUrl, streamName, organization: { id, sandboxId } });
};
