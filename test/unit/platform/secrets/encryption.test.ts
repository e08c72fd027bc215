import { createDecipheriv, createHmac, createSecretKey, type KeyObject, randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  deriveKey,
  ivBytes,
  type KeyUse,
  keyVersionOf,
  lengthPrefixed,
  masterKeyFrom,
  newDataKey,
  openValue,
  openWith,
  SealBrokenError,
  type SealedPlace,
  sealValue,
  sealWith,
  unwrapDataKey,
  wrapDataKey,
} from '../../../../platform/secrets/encryption.ts';
import { scaled } from '../../../support/scale.ts';

const dataKey = createSecretKey(Buffer.alloc(32, 7));
const key = deriveKey(dataKey, { kind: 'secret' });
const place: SealedPlace = { organizationId: 'org_1', table: 'api_keys', column: 'signing_secret', row: 'key_1' };
const bytesOf = (of: KeyObject) => of.export().toString('hex');
const aBuffer = (size: { minLength?: number; maxLength?: number } = {}) =>
  fc.uint8Array(size).map((bytes) => Buffer.from(bytes));
const aVersion = fc.integer({ min: 1, max: 0x7fffffff });

describe('a sealed value', () => {
  it('opens again, whatever it is, and says its key version', () => {
    fc.assert(
      fc.property(
        aBuffer({ maxLength: 400 }),
        aVersion,
        aBuffer({ minLength: 12, maxLength: 12 }),
        (plaintext, version, iv) => {
          const sealed = sealValue(key, version, place, plaintext, iv);
          expect(keyVersionOf(sealed)).toBe(version);
          expect(openValue(key, place, sealed)).toEqual(plaintext);
        },
      ),
    );
  });

  it('is the format that is written down: 1 byte format, 4 bytes version, 12 bytes IV, ciphertext, 16 bytes tag', () => {
    const iv = randomBytes(ivBytes);
    const sealed = sealValue(key, 0x01020304, place, Buffer.from('a secret'), iv);
    expect(sealed).toHaveLength(5 + 12 + 8 + 16);
    expect(sealed.subarray(0, 5)).toEqual(Buffer.of(1, 1, 2, 3, 4));
    expect(sealed.subarray(5, 17)).toEqual(iv);
    // As anyone with the key can open it, from the description alone.
    const part = (text: string) => `${String.fromCharCode(0, 0, 0, text.length)}${text}`;
    const decipher = createDecipheriv('aes-256-gcm', key, iv, { authTagLength: 16 });
    const bound = ['millrace value', 'org_1', 'api_keys', 'signing_secret', 'key_1'].map(part).join('');
    decipher.setAAD(Buffer.concat([Buffer.of(1, 1, 2, 3, 4), Buffer.from(bound, 'latin1')]));
    decipher.setAuthTag(sealed.subarray(-16));
    expect(`${decipher.update(sealed.subarray(17, -16), undefined, 'utf8')}${decipher.final('utf8')}`).toBe('a secret');
  });

  it('is refused with any one bit flipped, cut short or made longer', () => {
    fc.assert(
      fc.property(aBuffer({ maxLength: 60 }), aVersion, fc.nat(), (plaintext, version, choice) => {
        const sealed = sealValue(key, version, place, plaintext, randomBytes(ivBytes));
        const broken = Buffer.from(sealed);
        const bit = choice % (sealed.length * 8);
        broken[bit >> 3] = (broken[bit >> 3] as number) ^ (1 << (bit & 7));
        for (const bytes of [
          broken,
          sealed.subarray(0, choice % sealed.length),
          Buffer.concat([sealed, Buffer.alloc(1)]),
        ]) {
          expect(() => openValue(key, place, bytes)).toThrow(SealBrokenError);
        }
      }),
      { numRuns: scaled(500) },
    );
  });

  it.each(['organizationId', 'table', 'column', 'row'] as const)('is refused in a place with another %s', (part) => {
    const sealed = sealValue(key, 1, place, Buffer.from('a secret'), randomBytes(ivBytes));
    expect(() => openValue(key, { ...place, [part]: `${place[part]}2` }, sealed)).toThrow(SealBrokenError);
  });

  it('is refused in a place whose parts give the same text together', () => {
    const sealed = sealValue(
      key,
      1,
      { ...place, table: 'ab', column: 'c' },
      Buffer.from('a secret'),
      randomBytes(ivBytes),
    );
    expect(() => openValue(key, { ...place, table: 'a', column: 'bc' }, sealed)).toThrow(SealBrokenError);
  });

  it('is refused under another key', () => {
    const sealed = sealValue(key, 1, place, Buffer.from('a secret'), randomBytes(ivBytes));
    expect(() => openValue(deriveKey(dataKey, { kind: 'answer' }), place, sealed)).toThrow(SealBrokenError);
    expect(() => openValue(dataKey, place, sealed)).toThrow(SealBrokenError);
  });

  it('is no text that was never sealed', () => {
    for (const bytes of [
      Buffer.alloc(0),
      Buffer.alloc(4),
      Buffer.alloc(33),
      Buffer.from('{"name":"Ada Lovelace of London"}'),
    ]) {
      expect(() => openValue(key, place, bytes)).toThrow(SealBrokenError);
    }
    expect(() => keyVersionOf(Buffer.alloc(4))).toThrow(SealBrokenError);
  });

  it('agrees with the published example: AES-256-GCM, test case 16 of McGrew and Viega', () => {
    const hex = (text: string) => Buffer.from(text, 'hex');
    const sealed = sealWith(
      createSecretKey(hex('feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308')),
      hex('feedface'),
      hex('deadbeeffeedfacedeadbeefabaddad2'),
      hex(
        'd9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39',
      ),
      hex('cafebabefacedbaddecaf888'),
    );
    expect(sealed.subarray(16).toString('hex')).toBe(
      '522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662' +
        '76fc6ece0f4e1768cddf8853bb2d551b',
    );
  });
});

describe('parts behind their lengths', () => {
  it('give different bytes for different parts', () => {
    const parts = fc.array(fc.string({ unit: fc.constantFrom('a', 'b', '\0', 'é') }), { maxLength: 5 });
    fc.assert(
      fc.property(parts, parts, (a, b) => {
        fc.pre(JSON.stringify(a) !== JSON.stringify(b));
        expect(lengthPrefixed(a)).not.toEqual(lengthPrefixed(b));
      }),
      { numRuns: scaled(2_000) },
    );
  });
});

describe('a derived key', () => {
  it('is HKDF with SHA-256 of RFC 5869, with no salt and one block', () => {
    const hmac = (secret: Buffer, ...parts: Buffer[]) =>
      createHmac('sha256', secret).update(Buffer.concat(parts)).digest();
    const info = lengthPrefixed(['millrace key', 'customer', 'cus_1']);
    const expected = hmac(hmac(Buffer.alloc(32), dataKey.export()), info, Buffer.of(1));
    expect(bytesOf(deriveKey(dataKey, { kind: 'customer', customerId: 'cus_1' }))).toBe(expected.toString('hex'));
  });

  it('is another one for each customer, use and data key, and never the data key', () => {
    const uses: KeyUse[] = [
      { kind: 'secret' },
      { kind: 'answer' },
      ...['', 'cus_1', 'cus_2', 'secret'].map((customerId) => ({ kind: 'customer', customerId }) as const),
    ];
    const keys = [dataKey, createSecretKey(Buffer.alloc(32, 8))].flatMap((from) => [
      from,
      ...uses.map((use) => deriveKey(from, use)),
    ]);
    expect(new Set(keys.map(bytesOf)).size).toBe(keys.length);
    expect(bytesOf(deriveKey(dataKey, { kind: 'secret' }))).toBe(bytesOf(key));
  });
});

describe('a master key', () => {
  const bytes = randomBytes(32);

  it('is read from base64 and base64url, padded or not, and is the same one', () => {
    const all = Buffer.alloc(32, 0xfb);
    for (const given of [bytes, all]) {
      const texts = [given.toString('base64'), given.toString('base64url'), given.toString('base64').replace('=', '')];
      const keys = texts.map((text) => masterKeyFrom(text));
      for (const read of keys) expect(read?.key.export()).toEqual(given);
      expect(new Set(keys.map((read) => read?.id)).size).toBe(1);
    }
  });

  it.each([
    ['nothing', ''],
    ['31 bytes', randomBytes(31).toString('base64')],
    ['33 bytes', randomBytes(33).toString('base64')],
    ['64 hex digits', bytes.toString('hex')],
    ['a phrase of 43 characters', 'correct horse battery staple, as they say!!'],
    ['a line break behind it', `${bytes.toString('base64')}\n`],
  ])('is none of %s', (_, text) => {
    expect(masterKeyFrom(text)).toBeUndefined();
  });

  it('has a name of 8 hex digits that is its own', () => {
    const read = masterKeyFrom(bytes.toString('base64'));
    expect(read?.id).toMatch(/^[0-9a-f]{8}$/);
    expect(bytes.toString('hex')).not.toContain(read?.id);
    expect(masterKeyFrom(randomBytes(32).toString('base64'))?.id).not.toBe(read?.id);
  });
});

describe('a wrapped data key', () => {
  const masterOf = (bytes: Buffer) =>
    masterKeyFrom(bytes.toString('base64')) as NonNullable<ReturnType<typeof masterKeyFrom>>;
  const master = masterOf(randomBytes(32));

  it('unwraps for its organization and version under its master key, and nowhere else', () => {
    const made = newDataKey(randomBytes);
    const wrapped = wrapDataKey(master, made, 'org_1', 3, randomBytes(ivBytes));
    expect(bytesOf(unwrapDataKey(master, wrapped, 'org_1', 3))).toBe(bytesOf(made));
    expect(wrapped).toHaveLength(1 + 12 + 32 + 16);
    expect(() => unwrapDataKey(master, wrapped, 'org_2', 3)).toThrow(SealBrokenError);
    expect(() => unwrapDataKey(master, wrapped, 'org_1', 4)).toThrow(SealBrokenError);
    expect(() => unwrapDataKey(masterOf(randomBytes(32)), wrapped, 'org_1', 3)).toThrow(SealBrokenError);
    expect(() => openWith(master.key, 5, Buffer.alloc(0), wrapped)).toThrow(SealBrokenError);
  });

  it('is 32 random bytes', () => {
    expect(newDataKey(randomBytes).export()).toHaveLength(32);
    expect(bytesOf(newDataKey(randomBytes))).not.toBe(bytesOf(newDataKey(randomBytes)));
  });
});
