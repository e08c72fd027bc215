import { randomBytes } from 'node:crypto';
import { expect, it } from 'vitest';
import { newDataKey, wrapDataKey } from '../../../../platform/secrets/encryption.ts';
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

const placeOf = (organizationId: string, customerId = 'cus_1'): Place => ({
  organizationId,
  table: 'customers',
  column: 'personal',
  row: customerId,
  key: { kind: 'customer', customerId },
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

it('more customers than keys in memory open all the same, without a further statement', async () => {
  const { asked, db } = createDataKeys();
  const vault = createVault({ masterKeys, clock: { nowMs: () => 0 } });
  const places = Array.from({ length: 21_000 }, (_, number) => placeOf('org_large', `cus_${number}`));
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
