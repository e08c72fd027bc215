import { createHmac, hash } from 'node:crypto';

/**
 * API keys: `mr_live_<id>_<secret><checksum>`: 16 hex digits of id, 43 base64url characters of a 256-bit secret, 6 hex
 * digits of checksum over all before it. The prefix lets secret scanners find a leaked key; the checksum lets them, and
 * us, tell a typo from a wrong key. A publishable key is `mr_pub_...` in both worlds, so that no scanner takes it for a
 * secret.
 */
const shape = /^mr_(?:live|test|pub)_[0-9a-f]{16}_[A-Za-z0-9_-]{43}[0-9a-f]{6}$/;

const checksumOf = (body: string): string => hash('sha256', body, 'hex').slice(0, 6);

/** The two worlds of an organization. */
export const worlds = ['live', 'test'] as const;
export type World = (typeof worlds)[number];

/** A secret key is for servers; a publishable one stands in web pages, where everyone reads it. */
export const keyKinds = ['secret', 'publishable'] as const;
export type KeyKind = (typeof keyKinds)[number];

/**
 * All that a publishable key can ever be allowed: nothing that changes, and nothing about a customer. The database
 * holds the same list.
 */
export const publishableScopes = ['read:plans'] as const;

/** The beginning of a publishable key. */
export const publishablePrefix = 'mr_pub_';

/** A new key; `randomBytes` is the caller's source of randomness. */
export const newApiKey = (
  randomBytes: (bytes: number) => Buffer,
  world: World = 'live',
  kind: KeyKind = 'secret',
): string => {
  const prefix = kind === 'publishable' ? publishablePrefix : `mr_${world}_`;
  const body = `${prefix}${randomBytes(8).toString('hex')}_${randomBytes(32).toString('base64url')}`;
  return body + checksumOf(body);
};

/** What of a key may be shown and logged: in our format its public id, of any other key the first four characters. */
export const hintOfApiKey = (key: string): string =>
  shape.test(key) ? key.slice(0, key.indexOf('_', 8)) : `${key.slice(0, 4)}...`;

/** False for a key in our format whose checksum is off: it can be refused without asking the database. */
export const mayBeApiKey = (key: string): boolean => !shape.test(key) || checksumOf(key.slice(0, -6)) === key.slice(-6);

/**
 * What is stored of a key: HMAC-SHA256 under the pepper. A look-up by this hash reveals nothing of the key by its
 * timing.
 */
export const hashApiKey = (pepper: string, key: string): Buffer => createHmac('sha256', pepper).update(key).digest();
