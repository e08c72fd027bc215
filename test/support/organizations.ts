/** A second organization beside the first, with its sandbox: made as the first start makes one. */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { newId } from '#platform/ids.ts';
import { hashApiKey, hintOfApiKey, newApiKey } from '#schemas/api-key.ts';
import type { Pipeline } from './pipeline.ts';

export type Organization = { readonly id: string; readonly sandboxId: string; readonly key: string };

export const addOrganization = async (pipeline: Pipeline): Promise<Organization> => {
  const pepper = readFileSync(join(pipeline.stack.home, 'key-pepper'), 'utf8').trim();
  const [id, sandboxId, key] = [newId('org'), newId('org'), newApiKey(randomBytes)];
  await pipeline.asOwner.query(
    "INSERT INTO organizations (id, name, created_at, tier, sandbox_of) VALUES ($1, 'Other', now(), 'scale', NULL), ($2, 'Other', now(), 'scale', $1)",
    [id, sandboxId],
  );
  await pipeline.asOwner.query(
    "INSERT INTO api_keys (id, organization_id, name, hint, key_hash, scopes, created_at, updated_at) VALUES ($1, $2, 'Other', $3, $4, '{admin}', now(), now())",
    [newId('key'), id, hintOfApiKey(key), hashApiKey(pepper, key)],
  );
  return { id, sandboxId, key };
};
