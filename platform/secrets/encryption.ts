/**
 * Encryption at rest, the pure part: AES-256-GCM under keys in three layers. A master key, from the environment or a
 * file, wraps the data keys of the organizations; from a data key a key per purpose is derived, and only derived keys
 * seal values. One purpose is to wrap the keys of customers: each has a random key of its own for what is personal of
 * it, so that all of that ends with that key, wherever it was copied to. A dump of the database holds sealed values and
 * wrapped keys, and is useless without the master key.
 *
 *   sealed value           1 byte format (1), 4 bytes version of the data key, 12 bytes IV, ciphertext, 16 bytes tag
 *   under a customer's key 1 byte format (2),                                  12 bytes IV, ciphertext, 16 bytes tag
 *   wrapped data key       1 byte format (1),                                  12 bytes IV, ciphertext, 16 bytes tag
 *
 * The wrapped key of a customer is a sealed value. Before customers had keys of their own, theirs were derived from the
 * data key too; what was sealed so still opens, until it is written anew.
 *
 * IVs are random, so one key must seal no more than 2^32 values (NIST SP 800-38D, 8.3). The busiest one seals the
 * answers of an organization: 1,000 of them a second take 50 days to get there, and `npm run rotate-keys --
 * --data-keys` begins anew.
 */
import { createCipheriv, createDecipheriv, createHmac, createSecretKey, hkdfSync, type KeyObject } from 'node:crypto';

/** What was sealed does not verify: it was altered, or it is not what belongs in this place. */
export class SealBrokenError extends Error {
  override readonly name = 'SealBrokenError';
}

const algorithm = 'aes-256-gcm';
const keyBytes = 32;
const tagBytes = 16;
export const ivBytes = 12;

const formatByte = 1;
const ownKeyFormatByte = 2;
const valueHeaderBytes = 5;
const wrapHeader = Buffer.of(formatByte);
const ownKeyHeader = Buffer.of(ownKeyFormatByte);

/** Each part behind its length in 4 bytes, so that no two lists of parts give the same bytes. */
export const lengthPrefixed = (parts: readonly string[]): Buffer => {
  const lengths = parts.map((part) => Buffer.byteLength(part));
  const bytes = Buffer.allocUnsafe(lengths.reduce((sum, length) => sum + 4 + length, 0));
  let at = 0;
  parts.forEach((part, index) => {
    at = bytes.writeUInt32BE(lengths[index] as number, at);
    at += bytes.write(part, at);
  });
  return bytes;
};

/**
 * `header`, IV, ciphertext and tag. The tag also vouches for the header and for `place`, which is not in the result.
 */
export const sealWith = (key: KeyObject, header: Buffer, place: Buffer, plaintext: Buffer, iv: Buffer): Buffer => {
  const cipher = createCipheriv(algorithm, key, iv, { authTagLength: tagBytes });
  cipher.setAAD(Buffer.concat([header, place]));
  return Buffer.concat([header, iv, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
};

/** The plaintext of what `sealWith` made; throws `SealBrokenError`. */
export const openWith = (
  key: KeyObject,
  headerBytes: number,
  place: Buffer,
  sealed: Buffer,
  format = formatByte,
): Buffer => {
  const textAt = headerBytes + ivBytes;
  const tagAt = sealed.length - tagBytes;
  if (tagAt < textAt || sealed[0] !== format)
    throw new SealBrokenError('not a sealed value of a format that is known here');
  const decipher = createDecipheriv(algorithm, key, sealed.subarray(headerBytes, textAt), { authTagLength: tagBytes });
  decipher.setAAD(Buffer.concat([sealed.subarray(0, headerBytes), place]));
  decipher.setAuthTag(sealed.subarray(tagAt));
  const plaintext = decipher.update(sealed.subarray(textAt, tagAt));
  try {
    decipher.final();
  } catch (cause) {
    throw new SealBrokenError('the tag does not verify', { cause });
  }
  return plaintext;
};

/** Where a sealed value stands. One that is copied to another place does not open there. */
export type SealedPlace = {
  readonly organizationId: string;
  readonly table: string;
  readonly column: string;
  readonly row: string;
};

const placeBytes = ({ organizationId, table, column, row }: SealedPlace): Buffer =>
  lengthPrefixed(['millrace value', organizationId, table, column, row]);

export const sealValue = (
  key: KeyObject,
  keyVersion: number,
  place: SealedPlace,
  plaintext: Buffer,
  iv: Buffer,
): Buffer => {
  const header = Buffer.allocUnsafe(valueHeaderBytes);
  header.writeUInt8(formatByte);
  header.writeUInt32BE(keyVersion, 1);
  return sealWith(key, header, placeBytes(place), plaintext, iv);
};

export const openValue = (key: KeyObject, place: SealedPlace, sealed: Buffer): Buffer =>
  openWith(key, valueHeaderBytes, placeBytes(place), sealed);

/** The version of the data key that a value was sealed under. It is not known to be true until the value opens. */
export const keyVersionOf = (sealed: Buffer): number => {
  if (sealed.length < valueHeaderBytes) throw new SealBrokenError('not a sealed value');
  return sealed.readUInt32BE(1);
};

/** Whether a value says that the own key of a customer seals it. It is not known to be true until the value opens. */
export const isUnderOwnKey = (sealed: Buffer): boolean => sealed[0] === ownKeyFormatByte;

export const sealUnderOwnKey = (key: KeyObject, place: SealedPlace, plaintext: Buffer, iv: Buffer): Buffer =>
  sealWith(key, ownKeyHeader, placeBytes(place), plaintext, iv);

export const openUnderOwnKey = (key: KeyObject, place: SealedPlace, sealed: Buffer): Buffer =>
  openWith(key, ownKeyHeader.length, placeBytes(place), sealed, ownKeyFormatByte);

/** What a derived key is for. `customer` is from before customers had keys of their own, which `customer_key` seals. */
export type KeyUse =
  | { readonly kind: 'customer'; readonly customerId: string }
  | { readonly kind: 'customer_key' }
  | { readonly kind: 'secret' }
  | { readonly kind: 'answer' };

/**
 * HKDF with SHA-256 (RFC 5869). A data key is uniformly random, so there is nothing for a salt to do (3.1); the info
 * keeps the uses apart.
 */
export const deriveKey = (dataKey: KeyObject, use: KeyUse): KeyObject => {
  const info = lengthPrefixed(['millrace key', use.kind, ...(use.kind === 'customer' ? [use.customerId] : [])]);
  return createSecretKey(Buffer.from(hkdfSync('sha256', dataKey, Buffer.alloc(0), info, keyBytes)));
};

/** A master key and the name under which the data keys that it wraps are kept. The name says nothing of the key. */
export type MasterKey = { readonly id: string; readonly key: KeyObject };

/** Reads 32 bytes of base64 or base64url; undefined for anything else. */
export const masterKeyFrom = (text: string): MasterKey | undefined => {
  if (!/^[A-Za-z0-9+/_-]{43}=?$/.test(text)) return undefined;
  const key = createSecretKey(Buffer.from(text, 'base64'));
  return { id: createHmac('sha256', key).update('millrace master key').digest('hex').slice(0, 8), key };
};

const wrapPlace = (organizationId: string, version: number): Buffer =>
  lengthPrefixed(['millrace data key', organizationId, String(version)]);

export const newDataKey = (randomBytes: (bytes: number) => Buffer): KeyObject => createSecretKey(randomBytes(keyBytes));

export const wrapDataKey = (
  master: MasterKey,
  dataKey: KeyObject,
  organizationId: string,
  version: number,
  iv: Buffer,
): Buffer => sealWith(master.key, wrapHeader, wrapPlace(organizationId, version), dataKey.export(), iv);

export const unwrapDataKey = (master: MasterKey, wrapped: Buffer, organizationId: string, version: number): KeyObject =>
  createSecretKey(openWith(master.key, wrapHeader.length, wrapPlace(organizationId, version), wrapped));
