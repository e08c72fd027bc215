import { randomBytes } from 'node:crypto';
import type pg from 'pg';
import { describe, expect, it } from 'vitest';
import { type Caller, createAuthenticate, hasScope } from '../../../../platform/access/authenticate.ts';
import type { Queryable } from '../../../../platform/stores/postgres.ts';
import { UnavailableError } from '../../../../platform/stores/retry.ts';
import { hashApiKey, type KeyKind, newApiKey } from '../../../../schemas/api-key.ts';
import { createSetClock } from '../../../support/ingest-fakes.ts';

const pepper = 'p'.repeat(32);

/** The table of keys, by hash, as PostgreSQL would answer for it. */
const setUp = () => {
  const clock = createSetClock(1_000_000);
  type Row = { id: string; key_hash: Buffer; organization_id: string; scopes: string[]; expires_at: Date | null };
  const rows = new Map<
    string,
    Row & { revoked_at: null; signing_secret: null; tier: 'scale'; kind: KeyKind; world: 'live' }
  >();
  const postgres = { queries: 0, away: false, uses: [] as unknown[], held: async () => {} };
  const queryable: Queryable = {
    query: async <R extends pg.QueryResultRow>(text: string, values: readonly unknown[] = []) => {
      if (text.includes('touch_api_keys')) {
        if (!postgres.away) postgres.uses.push(values);
        return { rows: [] } as unknown as pg.QueryResult<R>;
      }
      postgres.queries += 1;
      await postgres.held();
      if (postgres.away) throw new UnavailableError('postgres', new Error('connect ECONNREFUSED'));
      const row = rows.get((values[0] as Buffer).toString('hex'));
      return { rows: row ? [row] : [] } as unknown as pg.QueryResult<R>;
    },
  };
  const add = (
    key = newApiKey(randomBytes),
    scopes = ['write:events'],
    expiresAt: Date | null = null,
    kind: KeyKind = 'secret',
  ): string => {
    const hash = hashApiKey(pepper, key);
    const fixed = {
      organization_id: 'org_1',
      revoked_at: null,
      signing_secret: null,
      tier: 'scale',
      world: 'live',
    } as const;
    rows.set(hash.toString('hex'), {
      id: `key_${rows.size}`,
      key_hash: hash,
      scopes,
      expires_at: expiresAt,
      kind,
      ...fixed,
    });
    return key;
  };
  const revoke = (key: string) => rows.delete(hashApiKey(pepper, key).toString('hex'));
  const authenticate = createAuthenticate(queryable, pepper, clock);
  const outcome = async (key: string | undefined): Promise<string> => {
    try {
      return (await authenticate(key === undefined ? undefined : `Bearer ${key}`)).organizationId;
    } catch (error) {
      return (error as { code?: string }).code ?? (error as Error).name;
    }
  };
  return { clock, postgres, add, revoke, authenticate, outcome };
};

describe('an API key', () => {
  it('that is publishable reads what is public, whatever else stands in its row', async () => {
    const { add, authenticate } = setUp();
    const key = add(
      newApiKey(randomBytes, 'live', 'publishable'),
      ['admin', 'write:*', 'read:plans'],
      null,
      'publishable',
    );
    expect(key).toMatch(/^mr_pub_[0-9a-f]{16}_[\w-]{43}[0-9a-f]{6}$/);
    expect(await authenticate(`Bearer ${key}`)).toMatchObject({ kind: 'publishable', scopes: ['read:plans'] });
    const other = add(newApiKey(randomBytes, 'test', 'publishable'), ['admin'], null, 'publishable');
    expect(await authenticate(`Bearer ${other}`)).toMatchObject({ kind: 'publishable', scopes: [] });
  });

  it('that is known says who calls, with which scopes', async () => {
    const { add, authenticate } = setUp();
    const key = add(undefined, ['read:invoices', 'write:events']);
    expect(await authenticate(`Bearer ${key}`)).toEqual({
      organizationId: 'org_1',
      tier: 'scale',
      keyId: 'key_0',
      kind: 'secret',
      world: 'live',
      expiresMs: undefined,
      scopes: ['read:invoices', 'write:events'],
      signingSecret: undefined,
    });
    expect(await authenticate(`bearer ${key}`)).toMatchObject({ keyId: 'key_0' });
  });

  it.each([
    ['none', undefined],
    ['an empty header', ''],
    ['no scheme', 'mr_live_x'],
    ['another scheme', 'Basic bXI6bXI='],
    ['nothing behind the scheme', 'Bearer '],
    ['two blanks', 'Bearer  key'],
    ['a blank in the key', 'Bearer ke y'],
    ['a newline behind it', 'Bearer key\n'],
    ['a key beyond ASCII', 'Bearer ключ'],
    ['257 characters', `Bearer ${'k'.repeat(257)}`],
  ])('%s is refused without a query', async (_what, header) => {
    const { authenticate, postgres } = setUp();
    await expect(authenticate(header)).rejects.toMatchObject({ code: 'UNKNOWN_API_KEY' });
    expect(postgres.queries).toBe(0);
  });

  it('of our form with a wrong checksum is refused without a query', async () => {
    const { add, outcome, postgres } = setUp();
    const key = add();
    const typo = `${key.slice(0, 30)}${key[30] === 'A' ? 'B' : 'A'}${key.slice(31)}`;
    expect(await outcome(typo)).toBe('UNKNOWN_API_KEY');
    expect(postgres.queries).toBe(0);
  });

  it('of another form, as a bootstrap key may have, is looked up', async () => {
    const { add, outcome } = setUp();
    expect(await outcome(add('my-own-bootstrap-key'))).toBe('org_1');
    expect(await outcome('nobody-knows-this-key')).toBe('UNKNOWN_API_KEY');
  });

  it('[I26] is looked up by a keyed hash: under another pepper it is unknown', async () => {
    const { add } = setUp();
    const key = add();
    expect(hashApiKey(pepper, key).equals(hashApiKey('q'.repeat(32), key))).toBe(false);
    expect(hashApiKey(pepper, key).includes(key)).toBe(false);
  });
});

describe('the memory of keys', () => {
  it('spares a query for 2 seconds', async () => {
    const { add, outcome, postgres, clock } = setUp();
    const key = add();
    await outcome(key);
    clock.advance(1_999);
    expect(await outcome(key)).toBe('org_1');
    expect(postgres.queries).toBe(1);
  });

  it('[I25] sees a revocation after 2 seconds', async () => {
    const { add, revoke, outcome, clock } = setUp();
    const key = add();
    await outcome(key);
    revoke(key);
    clock.advance(1_999);
    expect(await outcome(key)).toBe('org_1');
    clock.advance(1);
    expect(await outcome(key)).toBe('UNKNOWN_API_KEY');
  });

  it('sees a new key after 2 seconds, also where it was asked for before it existed', async () => {
    const { add, outcome, clock } = setUp();
    const key = newApiKey(randomBytes);
    expect(await outcome(key)).toBe('UNKNOWN_API_KEY');
    add(key);
    clock.advance(2_000);
    expect(await outcome(key)).toBe('org_1');
  });

  it('lets a flood of invented keys ask four at a time, and refuses what would wait behind a thousand', async () => {
    const { add, outcome, postgres } = setUp();
    const key = add();
    await outcome(key);
    let atOnce = 0;
    postgres.held = async () => {
      atOnce += 1;
      await new Promise((resolve) => setImmediate(resolve));
      atOnce -= 1;
      expect(atOnce).toBeLessThan(4);
    };
    const flood = await Promise.all(Array.from({ length: 1_100 }, () => outcome(newApiKey(randomBytes))));
    expect(flood.filter((code) => code === 'OVERLOADED')).toHaveLength(96);
    expect(flood.filter((code) => code === 'UNKNOWN_API_KEY')).toHaveLength(1_004);
    expect(await outcome(key)).toBe('org_1');
  });

  it('asks once for a key that many requests bring at the same moment', async () => {
    const { add, outcome, postgres } = setUp();
    const key = add();
    expect(new Set(await Promise.all(Array.from({ length: 100 }, () => outcome(key))))).toEqual(new Set(['org_1']));
    expect(postgres.queries).toBe(1);
  });

  it('[I10] holds at most 10,000 keys, and drops the oldest', async () => {
    const { add, outcome, postgres, clock } = setUp();
    const [first, second] = [add(), add()];
    await outcome(first);
    await outcome(second);
    for (let index = 0; index < 9_999; index += 1) await outcome(add(`key-${index}`));
    postgres.queries = 0;
    clock.advance(1);
    await outcome(second);
    expect(postgres.queries).toBe(0);
    await outcome(first);
    expect(postgres.queries).toBe(1);
  });

  it('[I10] holds as many invented ones, and none of them takes the place of a good one', async () => {
    const { add, outcome, postgres } = setUp();
    const key = add();
    await outcome(key);
    for (let index = 0; index < 10_001; index += 1) await outcome(`unknown-key-${index}`);
    postgres.away = true;
    expect(await outcome(key)).toBe('org_1');
    expect(await outcome('unknown-key-10000')).toBe('UNKNOWN_API_KEY');
    expect(await outcome('unknown-key-0')).toBe('UnavailableError');
  });

  it('sees a revocation, and writes down a use, also after the clock was set back', async () => {
    const { add, revoke, outcome, clock, postgres } = setUp();
    const key = add();
    await outcome(key);
    clock.advance(-900_000);
    await outcome(key);
    expect(postgres.uses).toHaveLength(2);
    revoke(key);
    clock.advance(-900_000);
    expect(await outcome(key)).toBe('UNKNOWN_API_KEY');
  });
});

describe('the life of a key', () => {
  it('ends at its expiry to the millisecond, also while the key is remembered', async () => {
    const { add, outcome, clock } = setUp();
    const key = add(undefined, undefined, new Date(1_001_000));
    clock.advance(999);
    expect(await outcome(key)).toBe('org_1');
    clock.advance(1);
    expect(await outcome(key)).toBe('UNKNOWN_API_KEY');
  });

  it('shows its last use, written down once a minute', async () => {
    const { add, outcome, clock, postgres } = setUp();
    const key = add();
    await outcome(key);
    clock.advance(59_999);
    await outcome(key);
    expect(postgres.uses).toEqual([[['key_0'], new Date(1_000_000)]]);
    clock.advance(1);
    await outcome(key);
    expect(postgres.uses).toHaveLength(2);
  });
});

describe('while PostgreSQL is away', () => {
  it('a key that was good stays good, for 10 minutes', async () => {
    const { add, outcome, postgres, clock } = setUp();
    const key = add();
    await outcome(key);
    postgres.away = true;
    clock.advance(600_000);
    expect(await outcome(key)).toBe('org_1');
    clock.advance(1);
    expect(await outcome(key)).toBe('UnavailableError');
  });

  it('or hanging, a key is not kept waiting for it, and beyond 10 minutes the caller hears that it is away', async () => {
    const { add, outcome, postgres, clock } = setUp();
    const key = add();
    await outcome(key);
    postgres.held = () => new Promise(() => {});
    clock.advance(600_000);
    expect(await outcome(key)).toBe('org_1');
    clock.advance(1);
    expect(await outcome(key)).toBe('UnavailableError');
  });

  it('a key that was unknown or was never asked for is not let in', async () => {
    const { add, outcome, postgres, clock } = setUp();
    const never = add();
    const unknown = newApiKey(randomBytes);
    await outcome(unknown);
    postgres.away = true;
    clock.advance(3_000);
    expect(await outcome(unknown)).toBe('UnavailableError');
    expect(await outcome(never)).toBe('UnavailableError');
  });

  it('a key that was revoked before it went away stays refused', async () => {
    const { add, revoke, outcome, postgres, clock } = setUp();
    const key = add();
    await outcome(key);
    revoke(key);
    clock.advance(2_000);
    expect(await outcome(key)).toBe('UNKNOWN_API_KEY');
    postgres.away = true;
    clock.advance(2_000);
    expect(await outcome(key)).toBe('UnavailableError');
  });

  it('and back, it is asked again', async () => {
    const { add, revoke, outcome, postgres, clock } = setUp();
    const key = add();
    await outcome(key);
    postgres.away = true;
    clock.advance(60_000);
    expect(await outcome(key)).toBe('org_1');
    postgres.away = false;
    revoke(key);
    expect(await outcome(key)).toBe('UNKNOWN_API_KEY');
  });
});

describe('a scope', () => {
  const holder = (...scopes: string[]): Caller => ({
    organizationId: 'org_1',
    tier: 'scale',
    keyId: 'key_1',
    kind: 'secret',
    world: 'live',
    expiresMs: undefined,
    scopes,
    signingSecret: undefined,
  });

  it.each([
    [['write:events'], 'write:events', true],
    [['read:invoices', 'write:events'], 'write:events', true],
    [['write:*'], 'write:events', true],
    [['read:*'], 'read:invoices', true],
    [['admin'], 'write:events', true],
    [['admin'], 'admin:keys', true],
    [[], 'write:events', false],
    [['read:events'], 'write:events', false],
    [['read:*'], 'write:events', false],
    [['write:event'], 'write:events', false],
    [['write:events:all'], 'write:events', false],
    [['WRITE:EVENTS'], 'write:events', false],
    [['*'], 'write:events', false],
    [['*:*'], 'write:events', false],
    [['write:*'], 'admin:keys', false],
    [['administrator'], 'write:events', false],
  ])('%j allows %s: %s', (scopes, scope, allowed) => {
    expect(hasScope(holder(...scopes), scope)).toBe(allowed);
  });
});
