/** Encryption at rest on the real PostgreSQL: places, data keys and transactions, and a dump. */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { newId } from '#platform/process/ids.ts';
import { SealBrokenError, unwrapDataKey } from '#platform/secrets/encryption.ts';
import { masterKeysFrom, type Place } from '#platform/secrets/vault.ts';
import type { Queryable } from '#platform/stores/postgres.ts';
import { untilOneWaits } from '../support/lock-waiters.ts';
import {
  addAnswer,
  addCustomers,
  addSealedCustomers,
  addSecret,
  answerOf,
  clearTextsIn,
  createSealedDatabase,
  dumpOf,
  masterKeys,
  newMaster,
  oldMaster,
  personalOf,
  type SealedDatabase,
  secretOf,
  vaultWith,
} from '../support/sealed-database.ts';

const wrappedKey = { table: 'customer_keys', column: 'wrapped', key: { kind: 'customer_key' } } as const;

let database: SealedDatabase;
beforeAll(async () => {
  database = await createSealedDatabase(inject('serverUrls'));
});
afterAll(() => database.close());

describe('a value', () => {
  it('that was sealed opens in its place, in this process and in another, and no two sealings look alike', async () => {
    const db = await database.newOrganization();
    const place = answerOf(db.organizationId, 'a key');
    const vault = vaultWith();
    for (const plaintext of [Buffer.alloc(0), Buffer.from('{"name":"Zoë"}'), randomBytes(100_000)]) {
      const sealed = await vault.seal(db, place, plaintext);
      expect(sealed).toHaveLength(plaintext.length + 33);
      expect(await vault.open(db, place, sealed)).toEqual(plaintext);
      expect(await vaultWith().open(db, place, sealed)).toEqual(plaintext);
      expect(await vault.seal(db, place, plaintext)).not.toEqual(sealed);
    }
  });

  it('does not open in the place of another organization, table, column, row or customer', async () => {
    const [db, other] = [await database.newOrganization(), await database.newOrganization()];
    const vault = vaultWith();
    const [customer, another] = [newId('cus'), newId('cus')];
    const own = await vault.newOwnKey(db, db.organizationId, customer);
    const anothers = await vault.newOwnKey(db, db.organizationId, another);
    const place = personalOf(db.organizationId, customer, own);
    const sealed = await vault.seal(db, place, Buffer.from('Ada'));
    await vault.prepare(other, other.organizationId);
    for (const elsewhere of [
      { ...place, organizationId: other.organizationId },
      { ...place, row: another },
      { ...place, key: { kind: 'customer', customerId: another, own } },
      { ...place, key: { kind: 'customer', customerId: another, own: anothers } },
      { ...place, key: { kind: 'customer', customerId: customer, own: anothers } },
      { ...place, key: { kind: 'customer', customerId: customer } },
      { ...place, key: { kind: 'secret' } },
      { ...place, table: 'idempotency_keys' },
      { ...place, column: 'body' },
      secretOf(db.organizationId, customer),
    ] as Place[]) {
      const reader = elsewhere.organizationId === db.organizationId ? db : other;
      await expect(vault.open(reader, elsewhere, sealed), JSON.stringify(elsewhere)).rejects.toThrow(SealBrokenError);
      await expect(vaultWith().open(reader, elsewhere, sealed), JSON.stringify(elsewhere)).rejects.toThrow(
        SealBrokenError,
      );
    }
    expect(String(await vault.open(db, place, sealed))).toBe('Ada');
  });

  it('of which one bit is flipped does not open, whichever bit it is', async () => {
    const db = await database.newOrganization();
    const vault = vaultWith();
    const place = secretOf(db.organizationId, newId('key'));
    const sealed = await vault.seal(db, place, Buffer.from('a signing secret'));
    for (let bit = 0; bit < sealed.length * 8; bit += 1) {
      const broken = Buffer.from(sealed);
      broken[bit >> 3] = (broken[bit >> 3] as number) ^ (1 << (bit & 7));
      await expect(vault.open(db, place, broken), `bit ${bit}`).rejects.toThrow(SealBrokenError);
    }
    for (let length = 0; length < sealed.length; length += 1) {
      await expect(vault.open(db, place, sealed.subarray(0, length)), `${length} bytes`).rejects.toThrow(
        SealBrokenError,
      );
    }
    expect(String(await vault.open(db, place, sealed))).toBe('a signing secret');
  });

  it('can be opened by the gateway, which has rights to no table', async () => {
    const db = await database.newOrganization();
    const place = secretOf(db.organizationId, newId('key'));
    const sealed = await vaultWith().seal(db, place, Buffer.from('a signing secret'));
    await expect(database.gateway.query('SELECT 1 FROM data_keys')).rejects.toThrow(/permission denied/);
    expect(String(await vaultWith().open(database.gateway, place, sealed))).toBe('a signing secret');
  });

  it('says which master key is missing where another one is given', async () => {
    const db = await database.newOrganization();
    const place = answerOf(db.organizationId, 'a key');
    const sealed = await vaultWith().seal(db, place, Buffer.from('Ada'));
    const wrong = masterKeysFrom({ masterKey: newMaster, previousMasterKey: '' });
    const message = new RegExp(
      `${masterKeys.current.id}, which is not given: MILLRACE_MASTER_KEY is ${wrong.current.id}, .*not set`,
    );
    await expect(vaultWith(wrong).open(db, place, sealed)).rejects.toThrow(message);
    await expect(vaultWith(wrong).seal(db, place, Buffer.from('Ada'))).rejects.toThrow(message);
    const both = masterKeysFrom({ masterKey: newMaster, previousMasterKey: oldMaster });
    expect(String(await vaultWith(both).open(db, place, sealed))).toBe('Ada');
  });
});

describe('the first data key of an organization', () => {
  it('is one, where several processes make it at once', async () => {
    const db = await database.newOrganization();
    const ids = (await Promise.all(Array.from({ length: 8 }, () => addSealedCustomers(db, 1)))).flat();
    expect(await database.dataKeysOf(db.organizationId)).toHaveLength(1);
    expect([...(await database.openAll(db)).keys()].toSorted()).toEqual(ids.toSorted());
  });

  it('is waited for where another transaction is about to commit it', async () => {
    const db = await database.newOrganization();
    let second: Promise<string[]> | undefined;
    await db.transaction(async (client) => {
      await vaultWith().seal(client, answerOf(db.organizationId, 'a'), Buffer.from('a'));
      second = addSealedCustomers(db, 1);
      await untilOneWaits(database.owner, "query LIKE 'INSERT INTO data_keys%'");
    });
    await second;
    expect(await database.dataKeysOf(db.organizationId)).toHaveLength(1);
    expect((await database.openAll(db)).size).toBe(1);
  });

  it('that is rolled back with its transaction is not used again, neither to seal nor to open', async () => {
    const db = await database.newOrganization();
    const vault = vaultWith();
    const place = answerOf(db.organizationId, 'a key');
    const lost = db.transaction(async (client) => {
      const sealed = await vault.seal(client, place, Buffer.from('lost'));
      expect(String(await vault.open(client, place, sealed))).toBe('lost');
      // Once more: what it reads now is its own work, and not yet that of the database.
      await vault.sealMany(client, [{ place, plaintext: Buffer.from('lost') }]);
      throw new Error('rolled back');
    });
    await expect(lost).rejects.toThrow('rolled back');
    expect(await database.dataKeysOf(db.organizationId)).toEqual([]);
    const sealed = await vaultWith().seal(db, place, Buffer.from('kept'));
    expect(String(await vault.open(db, place, sealed))).toBe('kept');
    expect(String(await vaultWith().open(db, place, await vault.seal(db, place, Buffer.from('kept too'))))).toBe(
      'kept too',
    );
  });

  it('that is rolled back to a savepoint is not used again either', async () => {
    const db = await database.newOrganization();
    const vault = vaultWith();
    const place = answerOf(db.organizationId, 'a key');
    const sealed = await db.transaction(async (client) => {
      await client.query('SAVEPOINT before');
      await vault.seal(client, place, Buffer.from('lost'));
      await vault.seal(client, place, Buffer.from('lost'));
      await client.query('ROLLBACK TO before');
      return vault.seal(client, place, Buffer.from('kept'));
    });
    expect(String(await vaultWith().open(db, place, sealed))).toBe('kept');
    expect(String(await vault.open(db, place, sealed))).toBe('kept');
  });

  it('is read once and then known: a thousand values cost no further statement', async () => {
    const db = await database.newOrganization();
    const vault = vaultWith();
    let statements = 0;
    const counting: Queryable = {
      query: (sql, values) => {
        statements += 1;
        return db.query(sql, values);
      },
    };
    await vault.prepare(counting, db.organizationId);
    expect(statements).toBe(3);
    const ids = Array.from({ length: 1_000 }, (_, index) => `cus_${index}`);
    const owns = await Promise.all(ids.map((id) => vault.newOwnKey(counting, db.organizationId, id)));
    const values = ids.map((id, index) => ({
      place: personalOf(db.organizationId, id, owns[index]),
      plaintext: Buffer.from(id),
    }));
    const sealed = await vault.sealMany(counting, values);
    const opened = await vault.openMany(
      counting,
      values.map(({ place }, index) => ({ place, sealed: sealed[index] as Buffer })),
    );
    expect(opened.map(String)).toEqual(ids);
    expect(statements).toBe(3);
  });

  it('can be made by the live world for its sandbox, whose API keys it keeps, and not the other way round', async () => {
    const [live, sandbox] = [await database.newOrganization(), await database.newOrganization()];
    await database.owner.query('UPDATE organizations SET sandbox_of = $1 WHERE id = $2', [
      live.organizationId,
      sandbox.organizationId,
    ]);
    const place = secretOf(sandbox.organizationId, newId('key'));
    const sealed = await vaultWith().seal(live, place, Buffer.from('a signing secret'));
    expect(String(await vaultWith().open(sandbox, place, sealed))).toBe('a signing secret');
    await expect(vaultWith().prepare(sandbox, live.organizationId)).rejects.toThrow(/row-level security/);
  });

  it('can not be read or made for another organization', async () => {
    const [db, other] = [await database.newOrganization(), await database.newOrganization()];
    await expect(vaultWith().prepare(db, other.organizationId)).rejects.toThrow(/row-level security/);
    expect(await database.dataKeysOf(other.organizationId)).toEqual([]);
  });
});

describe('a dump of the database', () => {
  it('shows no secret, answer or personal field in clear, nor a key that opens them', async () => {
    const db = await database.newOrganization();
    const vault = vaultWith();
    const [customer, keyId, key] = [newId('cus'), newId('key'), 'an-idempotency-key'];
    const personal = {
      name: 'Zoë Quartermaine',
      email: 'zoe@quartermaine.example',
      tax_ids: ['DE811907980'],
      payment_reference: 'pm_4242424242424242',
    };
    const secret = 'whsec_the-signing-secret-of-a-key';
    const answer = '{"secret":"mr_live_shown-only-once"}';
    const own = await vault.newOwnKey(db, db.organizationId, customer);
    const [sealedPersonal, sealedSecret, sealedAnswer] = (await vault.sealMany(db, [
      { place: personalOf(db.organizationId, customer, own), plaintext: Buffer.from(JSON.stringify(personal)) },
      { place: secretOf(db.organizationId, keyId), plaintext: Buffer.from(secret) },
      { place: answerOf(db.organizationId, key), plaintext: Buffer.from(answer) },
    ])) as [Buffer, Buffer, Buffer];
    await addCustomers(db, db.organizationId, [{ id: customer, personal: sealedPersonal, own }]);
    await addSecret(db, keyId, sealedSecret);
    await addAnswer(db, key, sealedAnswer);

    const { rows } = await database.owner.query('SELECT wrapped FROM data_keys WHERE organization_id = $1', [
      db.organizationId,
    ]);
    const dataKey = unwrapDataKey(masterKeys.current, rows[0].wrapped, db.organizationId, 1).export();
    const ownKey = await vault.open(db, { ...personalOf(db.organizationId, customer), ...wrappedKey }, own);
    const dump = await dumpOf(database.owner);
    for (const id of [customer, keyId, key]) expect(dump).toContain(id);
    expect(clearTextsIn(dump, [...Object.values(personal).flat(), secret, answer])).toEqual([]);
    for (const bytes of [dataKey, ownKey, Buffer.from(oldMaster, 'base64')]) {
      for (const encoding of ['hex', 'base64', 'base64url', 'latin1'] as const)
        expect(dump).not.toContain(bytes.toString(encoding));
    }
  });

  it('is looked at closely enough: a clear text is found as text, as bytes, in hex and in base64 at any offset', async () => {
    const db = await database.newOrganization();
    const text = 'a text in clear, long enough';
    const plant = async (name: string | undefined, personal: Buffer | null) => {
      const id = newId('cus');
      await addCustomers(database.owner, db.organizationId, [
        { id, personal, ...(name === undefined ? {} : { name }) },
      ]);
      const found = clearTextsIn(await dumpOf(database.owner), [text, 'another text that is nowhere']);
      await database.owner.query('DELETE FROM customers WHERE id = $1', [id]);
      return found;
    };
    expect(await plant('harmless', null)).toEqual([]);
    expect(await plant(`x${text}x`, null)).toEqual([text]);
    expect(await plant(undefined, Buffer.from(`x${text}x`))).toEqual([text]);
    expect(await plant(Buffer.from(`x${text}x`).toString('hex'), null)).toEqual([text]);
    for (const before of ['', 'x', 'xx', 'xxx']) {
      expect(await plant(Buffer.from(`${before}${text}yyy`).toString('base64'), null), before).toEqual([text]);
    }
  });
});
