import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { ConfigError, loadConfig, settings } from '../../../../platform/config/config.ts';

const required = {
  NATS_URL: 'nats://127.0.0.1:4222',
  CLICKHOUSE_URL: 'http://127.0.0.1:8123/millrace',
  REDIS_URL: 'redis://127.0.0.1:6379',
  DATABASE_URL: 'postgres://millrace:secret@127.0.0.1:5432/millrace',
  MILLRACE_KEY_PEPPER: 'p'.repeat(32),
  MILLRACE_MASTER_KEY: Buffer.alloc(32, 'm').toString('base64'),
};

const faultsOf = (
  environment: Record<string, string>,
  wanted?: Parameters<typeof loadConfig>[1],
): readonly string[] => {
  try {
    loadConfig(environment, wanted);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.faults;
    throw error;
  }
};

const folder = mkdtempSync(join(tmpdir(), 'millrace-config-'));
afterAll(() => rmSync(folder, { recursive: true }));

const fileWith = (text: string): string => {
  const path = join(folder, `${Math.random()}`);
  writeFileSync(path, text);
  return path;
};

describe('the configuration', () => {
  it('is complete with what is required, takes its fallbacks for the rest, and can not be changed', () => {
    const config = loadConfig(required);
    expect(config).toMatchObject({
      natsUrl: required.NATS_URL,
      keyPepper: required.MILLRACE_KEY_PEPPER,
      host: '127.0.0.1',
      logLevel: 'info',
    });
    expect(Object.keys(config).sort()).toEqual(Object.keys(settings).sort());
    expect(Object.isFrozen(config)).toBe(true);
  });

  it('takes what the environment gives, whole numbers as numbers', () => {
    const config = loadConfig({
      ...required,
      MILLRACE_EVENTS_PER_REQUEST_MAX: '17',
      MILLRACE_STREAM: 'OTHER',
      MILLRACE_LOG_LEVEL: 'warn',
    });
    expect(config).toMatchObject({ eventsPerRequestMax: 17, streamName: 'OTHER', logLevel: 'warn' });
  });

  it('takes an empty variable for an absent one', () => {
    expect(loadConfig({ ...required, MILLRACE_HOST: '', MILLRACE_EVENTS_PER_REQUEST_MAX: '' })).toMatchObject({
      host: '127.0.0.1',
    });
    expect(faultsOf({ ...required, NATS_URL: '' })).toEqual([expect.stringMatching(/^NATS_URL is missing/)]);
  });

  it('reports all faults together, each with its variable', () => {
    const faults = faultsOf({
      REDIS_URL: 'no url',
      MILLRACE_KEY_PEPPER: 'short',
      MILLRACE_BOOTSTRAP_KEY: 'short',
      MILLRACE_MASTER_KEY: 'short',
      MILLRACE_PREVIOUS_MASTER_KEY: 'short',
      MILLRACE_API_PORT: '70000',
      MILLRACE_SINK_ROWS_MAX: 'many',
      MILLRACE_LOG_LEVEL: 'loud',
    });
    const variables = faults.map((fault) => fault.split(' ')[0]).sort();
    expect(variables).toEqual([
      'CLICKHOUSE_URL',
      'DATABASE_URL',
      'MILLRACE_API_PORT',
      'MILLRACE_BOOTSTRAP_KEY',
      'MILLRACE_KEY_PEPPER',
      'MILLRACE_LOG_LEVEL',
      'MILLRACE_MASTER_KEY',
      'MILLRACE_PREVIOUS_MASTER_KEY',
      'MILLRACE_SINK_ROWS_MAX',
      'NATS_URL',
      'REDIS_URL',
    ]);
    expect(new ConfigError(faults).message.split('\n')).toHaveLength(faults.length + 1);
  });

  it('asks a process only for what it wants', () => {
    expect(faultsOf({}, ['natsUrl', 'clickhouseUrl']).map((fault) => fault.split(' ')[0])).toEqual([
      'NATS_URL',
      'CLICKHOUSE_URL',
    ]);
    expect(faultsOf({ NATS_URL: required.NATS_URL }, ['natsUrl'])).toEqual([]);
  });

  it.each([
    ['0', true],
    ['65535', true],
    ['-1', false],
    ['65536', false],
    ['80.5', false],
    ['1e3', false],
    ['0x50', false],
    [' 80', false],
    ['80 ', false],
    ['', true],
    ['NaN', false],
    ['99999999999999999999', false],
  ])('a port of "%s" is usable: %s', (port, usable) => {
    const faults = faultsOf({ ...required, MILLRACE_API_PORT: port });
    expect(faults).toEqual(
      usable ? [] : [expect.stringMatching(/^MILLRACE_API_PORT must be a whole number from 0 to 65535/)],
    );
  });

  it('never repeats a secret in its faults', () => {
    const faults = faultsOf({
      ...required,
      DATABASE_URL: 'hunter2hunter2',
      MILLRACE_KEY_PEPPER: 'hunter2',
      MILLRACE_BOOTSTRAP_KEY: 'hunter2',
      MILLRACE_MASTER_KEY: 'hunter2',
    });
    expect(faults).toHaveLength(4);
    expect(faults.join()).not.toContain('hunter2');
  });

  it.each([
    [31, false],
    [32, true],
  ])('a pepper of %i characters is usable: %s', (length, usable) => {
    expect(faultsOf({ ...required, MILLRACE_KEY_PEPPER: 'x'.repeat(length) })).toHaveLength(usable ? 0 : 1);
  });

  it.each([
    [31, false],
    [32, true],
    [33, false],
  ])('a master key of %i bytes is usable: %s, as the one before is', (length, usable) => {
    for (const encoding of ['base64', 'base64url'] as const) {
      const text = Buffer.alloc(length, 0xfb).toString(encoding);
      expect(faultsOf({ ...required, MILLRACE_MASTER_KEY: text })).toHaveLength(usable ? 0 : 1);
      expect(faultsOf({ ...required, MILLRACE_PREVIOUS_MASTER_KEY: text })).toHaveLength(usable ? 0 : 1);
    }
  });

  it.each([
    ['x'.repeat(7), false],
    ['x'.repeat(8), true],
    ['x'.repeat(200), true],
    ['x'.repeat(201), false],
    [`${'x'.repeat(20)} with blanks`, false],
    ['ключ-ключ-ключ-ключ', false],
  ])('the bootstrap key %s is usable: %s', (key, usable) => {
    expect(faultsOf({ ...required, MILLRACE_BOOTSTRAP_KEY: key })).toHaveLength(usable ? 0 : 1);
  });
});

describe('a secret', () => {
  it('can stand in a file that the variable with _FILE names, a newline at its end or not', () => {
    const { MILLRACE_KEY_PEPPER: _, ...others } = required;
    const path = fileWith(`${'q'.repeat(40)}\n`);
    expect(loadConfig({ ...others, MILLRACE_KEY_PEPPER_FILE: path }).keyPepper).toBe('q'.repeat(40));
  });

  it('in the variable goes before one in a file', () => {
    const path = fileWith('q'.repeat(40));
    expect(loadConfig({ ...required, MILLRACE_KEY_PEPPER_FILE: path }).keyPepper).toBe(required.MILLRACE_KEY_PEPPER);
  });

  it('in a file that can not be read is a fault with the name of that variable, beside all others', () => {
    const { MILLRACE_KEY_PEPPER: _, ...others } = required;
    const faults = faultsOf({ ...others, MILLRACE_KEY_PEPPER_FILE: join(folder, 'absent'), MILLRACE_API_PORT: 'x' });
    expect(faults).toEqual([
      expect.stringMatching(/^MILLRACE_API_PORT/),
      expect.stringMatching(/^MILLRACE_KEY_PEPPER_FILE can't be read: ENOENT/),
    ]);
  });

  it('in a file is held to the same rules', () => {
    const { MILLRACE_KEY_PEPPER: _, ...others } = required;
    expect(faultsOf({ ...others, MILLRACE_KEY_PEPPER_FILE: fileWith('short') })).toEqual([
      expect.stringMatching(/^MILLRACE_KEY_PEPPER /),
    ]);
  });

  it('is the only kind that a file may hold', () => {
    expect(loadConfig({ ...required, MILLRACE_HOST_FILE: fileWith('0.0.0.0') }).host).toBe('127.0.0.1');
  });
});

describe('relations between settings', () => {
  it.each([
    [
      'all tries of a publish end before the lease of their claims',
      { MILLRACE_PUBLISH_TIMEOUT_MS: '2500', MILLRACE_PUBLISH_ATTEMPTS_MAX: '4', MILLRACE_CLAIM_LEASE_SECONDS: '10' },
      /MILLRACE_PUBLISH_TIMEOUT_MS x MILLRACE_PUBLISH_ATTEMPTS_MAX \(11500 ms with the pauses\).*MILLRACE_CLAIM_LEASE_SECONDS/,
    ],
    [
      'the largest body fits into the budget of bodies',
      { MILLRACE_IN_FLIGHT_BYTES_MAX: '2000000', MILLRACE_BODY_BYTES_MAX: '2000001' },
      /MILLRACE_BODY_BYTES_MAX.*MILLRACE_IN_FLIGHT_BYTES_MAX/,
    ],
  ])('%s', (_what, given, named) => {
    expect(faultsOf({ ...required, ...given })).toEqual([expect.stringMatching(named)]);
  });

  it('a publish may take all but the lease', () => {
    const given = {
      MILLRACE_PUBLISH_TIMEOUT_MS: '9999',
      MILLRACE_PUBLISH_ATTEMPTS_MAX: '1',
      MILLRACE_CLAIM_LEASE_SECONDS: '10',
    };
    expect(faultsOf({ ...required, ...given })).toEqual([]);
  });

  it('every fallback is within its own range', () => {
    expect(faultsOf(required)).toEqual([]);
  });
});

describe('the origins of web pages', () => {
  const origins = (text: string) => loadConfig({ ...required, MILLRACE_CORS_ORIGINS: text }).corsOrigins;

  it('are none by default, and a list where they are given', () => {
    expect(loadConfig(required).corsOrigins).toEqual([]);
    expect(origins('')).toEqual([]);
    expect(origins('https://shop.example.com')).toEqual(['https://shop.example.com']);
    expect(origins('https://shop.example.com , http://localhost:3000,http://[::1]:8080')).toEqual([
      'https://shop.example.com',
      'http://localhost:3000',
      'http://[::1]:8080',
    ]);
  });

  it.each([
    ['*'],
    ['null'],
    ['shop.example.com'],
    ['https://*.example.com'],
    ['https://shop.example.com/'],
    ['https://shop.example.com/path'],
    ['https://SHOP.example.com'],
    ['https://shop.example.com:443'],
    ['https://user@shop.example.com'],
    ['ftp://shop.example.com'],
    ['file://'],
    ['https://münchen.example'],
    ['https://a.example,'],
    ['https://a.example https://b.example'],
    ['https://a.example\r\nx: y'],
  ])('are refused as %j, which no browser sends as an origin', (text) => {
    expect(faultsOf({ ...required, MILLRACE_CORS_ORIGINS: text })).toEqual([
      expect.stringMatching(/^MILLRACE_CORS_ORIGINS /),
    ]);
  });

  it('are all named that are wrong, with what would be right', () => {
    const [fault = ''] = faultsOf({ ...required, MILLRACE_CORS_ORIGINS: 'https://a.example/,https://good.example,*' });
    expect(fault).toContain('https://a.example, not "https://a.example/"');
    expect(fault).toContain('*');
    expect(fault).not.toContain('good');
  });
});

describe('the first key', () => {
  it('can not look like one that everyone may know', () => {
    expect(faultsOf({ ...required, MILLRACE_BOOTSTRAP_KEY: 'mr_pub_my_first_key' })).toEqual([
      expect.stringMatching(/^MILLRACE_BOOTSTRAP_KEY must not begin with mr_pub_/),
    ]);
  });
});
