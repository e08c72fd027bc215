/**
 * Seals and opens values of an organization: keeps its data keys in PostgreSQL, wrapped by a master key, and the
 * unwrapped ones in memory. The own keys of customers are given with each value and kept nowhere in memory: they open
 * nothing any more once their rows are gone.
 *
 * What a transaction has written may still be rolled back, and with it the very key that a value was sealed under. So:
 * - the key to seal with is remembered only once it was read as the work of an earlier transaction, which has thereby
 * committed;
 * - a key that does not open a value is read again before the value counts as broken, so a remembered key that was
 * rolled back does no harm.
 */
import assert from 'node:assert/strict';
import { createSecretKey, type KeyObject, randomBytes as systemRandomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { sealedColumns } from '#schemas/sealed-columns.ts';
import type { Clock } from '../process/clock.ts';
import type { Queryable } from '../stores/postgres.ts';
import {
  deriveKey,
  isUnderOwnKey,
  ivBytes,
  type KeyUse,
  keyVersionOf,
  type MasterKey,
  masterKeyFrom,
  newDataKey,
  openUnderOwnKey,
  openValue,
  SealBrokenError,
  sealUnderOwnKey,
  sealValue,
  unwrapDataKey,
  wrapDataKey,
} from './encryption.ts';

type ColumnOf<C> = C extends { readonly table: infer T; readonly column: infer N }
  ? { readonly table: T; readonly column: N }
  : never;

/**
 * Of the organization for a purpose, or of a customer: `own` is its key as `customer_keys` has it, where it has one.
 */
type PlaceKey =
  | Exclude<KeyUse, { readonly kind: 'customer' }>
  | { readonly kind: 'customer'; readonly customerId: string; readonly own: Buffer | undefined };

/** Where a value stands, and which key seals it. */
export type Place = ColumnOf<(typeof sealedColumns)[keyof typeof sealedColumns]> & {
  readonly organizationId: string;
  /** The id of the row. */
  readonly row: string;
  readonly key: PlaceKey;
};

export type MasterKeys = {
  /** Wraps every new data key. */
  readonly current: MasterKey;
  /** Still unwraps, while keys are rotated. */
  readonly previous: MasterKey | undefined;
};

/** A data key can't be unwrapped: the process was started without the master key for it. */
class MasterKeyMissingError extends Error {
  override readonly name = 'MasterKeyMissingError';
  constructor(missing: string, known: MasterKeys) {
    super(
      `data keys are wrapped by the master key ${missing}, which is not given: MILLRACE_MASTER_KEY is ${known.current.id}, ` +
        `MILLRACE_PREVIOUS_MASTER_KEY is ${known.previous?.id ?? 'not set'}`,
    );
  }
}

/** The master keys of a configuration, which has checked them. */
export const masterKeysFrom = (config: {
  readonly masterKey: string;
  readonly previousMasterKey: string;
}): MasterKeys => {
  const current = masterKeyFrom(config.masterKey);
  assert(current, 'loadConfig checks MILLRACE_MASTER_KEY');
  return { current, previous: masterKeyFrom(config.previousMasterKey) };
};

export const masterKeyOf = (keys: MasterKeys, id: string): MasterKey => {
  if (id === keys.current.id) return keys.current;
  if (id === keys.previous?.id) return keys.previous;
  throw new MasterKeyMissingError(id, keys);
};

/** A new version shows within this time in every process. */
const newestFreshMs = 60_000;
const organizationsMax = 2_000;
const derivedKeysMax = 20_000;
const ownKeyBytes = 32;

const placeOfOwnKey = (organizationId: string, customerId: string): Place => ({
  organizationId,
  table: 'customer_keys',
  column: 'wrapped',
  row: customerId,
  key: { kind: 'customer_key' },
});

type KeyRow = { readonly master_key_id: string; readonly wrapped: Buffer };
type NewestRow = KeyRow & { readonly version: number; readonly settled: boolean };
type DataKey = { readonly serial: number; readonly version: number; readonly wrapped: Buffer; readonly key: KeyObject };

// A row is visible if its transaction has committed or is this one, savepoints included, and age() is 0 or less for
// what is this one's.
const selectNewest = `SELECT version, master_key_id, wrapped, age(xmin) > 0 AS settled
  FROM data_keys WHERE organization_id = $1 ORDER BY version DESC LIMIT 1`;
// Of two processes at once one waits for the other's end, and then either finds its key or writes its own.
const insertKey = `INSERT INTO data_keys (organization_id, version, master_key_id, wrapped, created_at)
  VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`;
// A function, which also a login may call that reads no table.
const selectVersion = 'SELECT master_key_id, wrapped FROM find_data_key($1, $2)';

export type Vault = {
  /**
   * `db` must be able to read and write the organization's data keys; its first one is made in the transaction of `db`,
   * if it has one. That transaction holds up others that want to make the first key too: see `prepare`. What is of a
   * customer is sealed by its own key, which must be given.
   */
  readonly seal: (db: Queryable, place: Place, plaintext: Buffer) => Promise<Buffer>;
  /**
   * Throws `SealBrokenError` for what was not sealed in this place, and `MasterKeyMissingError`. `db` is asked for keys
   * not known yet only.
   */
  readonly open: (db: Queryable, place: Place, sealed: Buffer) => Promise<Buffer>;
  readonly sealMany: (
    db: Queryable,
    values: readonly { readonly place: Place; readonly plaintext: Buffer }[],
  ) => Promise<Buffer[]>;
  readonly openMany: (
    db: Queryable,
    values: readonly { readonly place: Place; readonly sealed: Buffer }[],
  ) => Promise<Buffer[]>;
  /** A new key for what is personal of a customer, as `customer_keys` is to keep it. */
  readonly newOwnKey: (db: Queryable, organizationId: string, customerId: string) => Promise<Buffer>;
  /**
   * Has the key for `seal` ready. Called before a transaction, it makes the first key in one of its own, for which
   * nobody waits long.
   */
  readonly prepare: (db: Queryable, organizationId: string) => Promise<void>;
  /**
   * Makes the version after the newest one, for what is sealed from now on. Nothing happens where someone else just
   * did.
   */
  readonly renew: (db: Queryable, organizationId: string) => Promise<void>;
};

export const createVault = (options: {
  readonly masterKeys: MasterKeys;
  readonly clock: Clock;
  readonly randomBytes?: (bytes: number) => Buffer;
}): Vault => {
  const { masterKeys, clock, randomBytes = systemRandomBytes } = options;
  const newest = new LRUCache<string, { readonly dataKey: DataKey; readonly readMs: number }>({
    max: organizationsMax,
  });
  const versions = new LRUCache<string, DataKey>({ max: organizationsMax });
  const derived = new LRUCache<string, KeyObject>({ max: derivedKeysMax });
  let serials = 0;

  const versionId = (organizationId: string, version: number): string => `${version} ${organizationId}`;

  const unwrap = (organizationId: string, version: number, row: KeyRow): DataKey => {
    const known = versions.get(versionId(organizationId, version));
    if (known?.wrapped.equals(row.wrapped)) return known;
    const key = unwrapDataKey(masterKeyOf(masterKeys, row.master_key_id), row.wrapped, organizationId, version);
    serials += 1;
    return { serial: serials, version, wrapped: row.wrapped, key };
  };

  // By serial, so that the keys of one data key are never taken for those of another that has the same version.
  const keyFor = (dataKey: DataKey, use: KeyUse): KeyObject => {
    const id = `${dataKey.serial} ${use.kind} ${use.kind === 'customer' ? use.customerId : ''}`;
    const known = derived.get(id);
    if (known) return known;
    const key = deriveKey(dataKey.key, use);
    derived.set(id, key);
    return key;
  };

  const insert = (db: Queryable, organizationId: string, version: number): Promise<unknown> => {
    const wrapped = wrapDataKey(
      masterKeys.current,
      newDataKey(randomBytes),
      organizationId,
      version,
      randomBytes(ivBytes),
    );
    return db.query(insertKey, [organizationId, version, masterKeys.current.id, wrapped, new Date(clock.nowMs())]);
  };

  const readNewest = async (db: Queryable, organizationId: string): Promise<NewestRow | undefined> =>
    (await db.query<NewestRow>(selectNewest, [organizationId])).rows[0];

  const newestKey = async (db: Queryable, organizationId: string): Promise<DataKey> => {
    const known = newest.get(organizationId);
    const nowMs = clock.nowMs();
    // A clock that was set back must not keep a replaced key in use: it is deleted in time.
    if (known && Math.abs(nowMs - known.readMs) < newestFreshMs) return known.dataKey;
    let row = await readNewest(db, organizationId);
    if (!row) {
      await insert(db, organizationId, 1);
      row = await readNewest(db, organizationId);
    }
    assert(row, 'a data key that was written, by this process or another, can be read');
    const dataKey = unwrap(organizationId, row.version, row);
    if (row.settled) {
      newest.set(organizationId, { dataKey, readMs: nowMs });
      versions.set(versionId(organizationId, row.version), dataKey);
    }
    return dataKey;
  };

  const sealUnder = (dataKey: DataKey, place: Place, plaintext: Buffer): Buffer =>
    sealValue(keyFor(dataKey, place.key), dataKey.version, place, plaintext, randomBytes(ivBytes));

  const openOrganizations: Vault['open'] = async (db, place, sealed) => {
    const version = keyVersionOf(sealed);
    const id = versionId(place.organizationId, version);
    const known = versions.get(id);
    let fault: unknown;
    if (known) {
      try {
        return openValue(keyFor(known, place.key), place, sealed);
      } catch (error) {
        fault = error;
      }
    }
    // A version that does not fit into PostgreSQL's integer is none that was ever given.
    const { rows } =
      version > 0x7fffffff ? { rows: [] } : await db.query<KeyRow>(selectVersion, [place.organizationId, version]);
    const row = rows[0];
    if (!row) throw new SealBrokenError(`${place.organizationId} has no data key of version ${version}`);
    if (known?.wrapped.equals(row.wrapped)) throw fault;
    const dataKey = unwrap(place.organizationId, version, row);
    versions.set(id, dataKey);
    return openValue(keyFor(dataKey, place.key), place, sealed);
  };

  const ownKey = async (db: Queryable, { organizationId, key }: Place): Promise<KeyObject> => {
    if (key.kind !== 'customer' || key.own === undefined) throw new SealBrokenError('the key of the customer is gone');
    return createSecretKey(await openOrganizations(db, placeOfOwnKey(organizationId, key.customerId), key.own));
  };

  const open: Vault['open'] = async (db, place, sealed) =>
    isUnderOwnKey(sealed)
      ? openUnderOwnKey(await ownKey(db, place), place, sealed)
      : openOrganizations(db, place, sealed);

  const sealMany: Vault['sealMany'] = async (db, values) => {
    const keys = new Map<string, DataKey>();
    const sealed: Buffer[] = [];
    for (const { place, plaintext } of values) {
      if (place.key.kind === 'customer') {
        sealed.push(sealUnderOwnKey(await ownKey(db, place), place, plaintext, randomBytes(ivBytes)));
        continue;
      }
      // Asked for once each, also where it may not be remembered.
      const dataKey = keys.get(place.organizationId) ?? (await newestKey(db, place.organizationId));
      keys.set(place.organizationId, dataKey);
      sealed.push(sealUnder(dataKey, place, plaintext));
    }
    return sealed;
  };

  const seal: Vault['seal'] = async (db, place, plaintext) => (await sealMany(db, [{ place, plaintext }]))[0] as Buffer;

  return {
    seal,
    open,
    sealMany,
    newOwnKey: (db, organizationId, customerId) =>
      seal(db, placeOfOwnKey(organizationId, customerId), randomBytes(ownKeyBytes)),
    openMany: async (db, values) => {
      const opened: Buffer[] = [];
      // One after the other: the first one reads the key that the others then find.
      for (const { place, sealed } of values) opened.push(await open(db, place, sealed));
      return opened;
    },
    prepare: async (db, organizationId) => {
      await newestKey(db, organizationId);
    },
    renew: async (db, organizationId) => {
      const row = await readNewest(db, organizationId);
      await insert(db, organizationId, (row?.version ?? 0) + 1);
      newest.delete(organizationId);
    },
  };
};
