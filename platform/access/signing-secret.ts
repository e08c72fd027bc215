/** Where the signing secret of an API key lies sealed, and how the guard opens it. */

import type { Place, Vault } from '../secrets/vault.ts';
import type { Queryable } from '../stores/postgres.ts';
import type { Caller } from './authenticate.ts';

export const placeOfSigningSecret = (organizationId: string, keyId: string): Place => ({
  organizationId,
  table: 'api_keys',
  column: 'signing_secret',
  row: keyId,
  key: { kind: 'secret' },
});

/** Works over any login: the data key comes from a function that each of them may call. */
export const createOpenSigningSecret =
  (vault: Vault, db: Queryable) =>
  async ({ organizationId, keyId }: Caller, sealed: Buffer): Promise<string> =>
    (await vault.open(db, placeOfSigningSecret(organizationId, keyId), sealed)).toString();
