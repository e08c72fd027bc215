import { randomBytes } from 'node:crypto';
import { expect, it } from 'vitest';
import { newDataKey, SealBrokenError, wrapDataKey } from '../../../../platform/secrets/encryption.ts';
import { createVault, masterKeysFrom, type Place } from '../../../../platform/secrets/vault.ts';
import type { Queryable } from '../../../../platform/stores/postgres.ts';

const masterKeys = masterKeysFrom({ masterKey: randomBytes(32).toString('base64'), previousMasterKey: '' });
const wrapped = new Map<string, Buffer>();

/** Every organization has one data key, committed long ago. */
const createDataKeys = () => {
  const asked: string[] = [];
  const query = async (_: string, values: readonly unknown[] = []) => {
    const id = String(values[0]);
    asked.push(id);
    const known = wrapped.get(id) ?? wrapDataKey(masterKeys.current, newDataKey(randomBytes), id, 1, randomBytes(12));
    wrapped.set(id, known);
    return { rows: [{ version: 1, master_key_id: masterKeys.current.id, wrapped: known, settled: true }] };
  };
  return { asked, db: { query } as unknown as Queryable };
};

const placeOf = (organizationId: string): Place => ({
  organizationId,
  table: 'api_keys',
  column: 'signing_secret',
  row: 'key_1',
  key: { kind: 'secret' },
});

const personalOf = (organizationId: string, customerId: string, own?: Buffer): Place => ({
  organizationId,
  table: 'customers',
  column: 'personal',
  row: customerId,
  key: { kind: 'customer', customerId, own },
});

it('the keys in memory are bounded: those not used for the longest are read again, those in use are not', async () => {
  const { asked, db } = createDataKeys();
  const vault = createVault({ masterKeys, clock: { nowMs: () => 0 } });
  const first = await vault.seal(db, placeOf('org_first'), Buffer.from('first'));
  const inUse = await vault.seal(db, placeOf('org_in_use'), Buffer.from('in use'));
  for (let number = 0; number < 5_000; number += 1) {
    await vault.prepare(db, `org_${number}`);
    if (number % 100 === 0) expect(String(await vault.open(db, placeOf('org_in_use'), inUse))).toBe('in use');
  }
  expect(String(await vault.open(db, placeOf('org_first'), first))).toBe('first');
  const times = (id: string) => asked.filter((one) => one === id).length;
  expect([times('org_first'), times('org_in_use'), times('org_4999')]).toEqual([2, 1, 1]);
});

it('any number of customers is sealed and opened without a further statement, each by a key of its own', async () => {
  const { asked, db } = createDataKeys();
  const vault = createVault({ masterKeys, clock: { nowMs: () => 0 } });
  const places: Place[] = [];
  for (let number = 0; number < 21_000; number += 1) {
    const id = `cus_${number}`;
    places.push(personalOf('org_large', id, await vault.newOwnKey(db, 'org_large', id)));
  }
  const sealed = await vault.sealMany(
    db,
    places.map((place) => ({ place, plaintext: Buffer.from(place.row) })),
  );
  const opened = await vault.openMany(
    db,
    places.map((place, number) => ({ place, sealed: sealed[number] as Buffer })),
  );
  expect(opened.map(String)).toEqual(places.map(({ row }) => row));
  expect(asked).toEqual(['org_large']);
});

it('what is of a customer is neither sealed nor opened without its key, or with the key of another', async () => {
  const { db } = createDataKeys();
  const vault = createVault({ masterKeys, clock: { nowMs: () => 0 } });
  const own = await vault.newOwnKey(db, 'org_1', 'cus_1');
  const others = await vault.newOwnKey(db, 'org_1', 'cus_2');
  const sealed = await vault.seal(db, personalOf('org_1', 'cus_1', own), Buffer.from('Ada'));
  expect(sealed).toHaveLength('Ada'.length + 29);
  expect(String(await vault.open(db, personalOf('org_1', 'cus_1', own), sealed))).toBe('Ada');
  for (const key of [undefined, others, Buffer.alloc(0), Buffer.from(own.map((byte) => byte ^ 1))]) {
    const place = personalOf('org_1', 'cus_1', key);
    await expect(vault.open(db, place, sealed)).rejects.toThrow(SealBrokenError);
    await expect(vault.seal(db, place, Buffer.from('Ada'))).rejects.toThrow(SealBrokenError);
  }
  // Nor by what seals for the organization.
  await expect(vault.open(db, { ...placeOf('org_1'), row: 'cus_1' }, sealed)).rejects.toThrow(SealBrokenError);
});

it('a PostgreSQL that is away stops nobody from opening what was opened before', async () => {
  const { db } = createDataKeys();
  const away = { query: () => Promise.reject(new Error('away')) } as unknown as Queryable;
  let nowMs = 0;
  const vault = createVault({ masterKeys, clock: { nowMs: () => nowMs } });
  const sealed = await vault.seal(db, placeOf('org_1'), Buffer.from('a value'));
  nowMs = 86_400_000;
  expect(String(await vault.open(away, placeOf('org_1'), sealed))).toBe('a value');
  await expect(vault.seal(away, placeOf('org_1'), Buffer.from('a value'))).rejects.toThrow('away');
});

it('the newest key is asked for once a minute, and at once where the clock was set back: one that was replaced is not used on', async () => {
  const { asked, db } = createDataKeys();
  let nowMs = 86_400_000;
  const vault = createVault({ masterKeys, clock: { nowMs: () => nowMs } });
  const askedAt = async (ms: number): Promise<number> => {
    nowMs = ms;
    await vault.seal(db, placeOf('org_clock'), Buffer.from('a value'));
    return asked.length;
  };
  expect([await askedAt(86_400_000), await askedAt(86_459_999), await askedAt(86_460_000), await askedAt(0)]).toEqual([
    1, 1, 2, 3,
  ]);
});
