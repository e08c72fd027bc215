/**
 * Where the programs come from that npm does not ship: the PATH, or a folder `.millrace/bin` of the checkout that is
 * filled on first use, by Go's own installer or from the packages of a Debian-like system. Nothing is installed into
 * the system, so nothing needs root, no service is started, and removing the folder undoes it all. What can't be had
 * like that is named with the command that would install it.
 */
import { execFile } from 'node:child_process';
import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { basename, delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Log } from './home.ts';
import { parseVersion, type Version } from './versions.ts';

export type Program = {
  readonly path: string;
  readonly version: Version;
  readonly source: string;
  /** Additions to the environment that it needs to run. */
  readonly environment: NodeJS.ProcessEnv;
};

/** Shared by all homes of this checkout. */
export const programsFolder = fileURLToPath(new URL('../../.millrace/bin', import.meta.url));

const run = promisify(execFile);

/** The first executable file of this name on the PATH. */
export const findOnPath = (name: string): string | undefined =>
  (process.env.PATH ?? '')
    .split(delimiter)
    .filter((folder) => folder !== '')
    // Debian keeps servers in sbin folders, which ordinary users don't have on their PATH.
    .concat('/usr/local/sbin', '/usr/sbin')
    .map((folder) => join(folder, name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });

/** The program at `path` if it runs and tells its version. */
export const tryProgram = async (
  path: string,
  versionFlag: string,
  source: string,
  environment: NodeJS.ProcessEnv = {},
): Promise<Program | undefined> => {
  try {
    const { stdout, stderr } = await run(path, [versionFlag], {
      env: { ...process.env, ...environment },
      timeout: 10_000,
    });
    const version = parseVersion(stdout || stderr);
    return version && { path, version, source, environment };
  } catch {
    return undefined;
  }
};

const reasonOf = (error: unknown): string => {
  const { stderr, message } = error as { stderr?: string; message: string };
  return (stderr?.trim() || message).split('\n').slice(-3).join(' ').trim();
};

export type Fetched = { readonly program: Program } | { readonly fault: string };

export type Fetch = {
  /** "redis-tools", for the log. */
  readonly what: string;
  /** The folder to fill. */
  readonly target: string;
  /** The program in the filled folder, where it is there and runs. */
  readonly probe: () => Promise<Program | undefined>;
  readonly log: Log;
  readonly signal?: AbortSignal | undefined;
};

/**
 * The program that an earlier run fetched, or else one that `fill` fetches now into an empty folder. The folder takes
 * its place in one step, and only where no other start was faster: a program is never taken away from under somebody
 * who runs it.
 */
const fetchProgram = async (
  { what, target, probe, log }: Fetch,
  fill: (draft: string) => Promise<void>,
): Promise<Fetched> => {
  const kept = await probe();
  if (kept) return { program: kept };
  log.info(`fetching ${what}; this happens once, and may take a minute`);
  const begin = performance.now();
  mkdirSync(programsFolder, { recursive: true });
  const draft = mkdtempSync(join(programsFolder, '.new-'));
  try {
    await fill(draft);
    if (!(await probe())) {
      // Made for its maker only, as temporary folders are; another user of this checkout may run it too.
      chmodSync(draft, 0o755);
      rmSync(target, { recursive: true, force: true });
      renameSync(draft, target);
    }
  } catch (error) {
    return { fault: `${what}: ${reasonOf(error)}` };
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
  log.info(`fetched ${what} in ${Math.round((performance.now() - begin) / 1000)} s`);
  const program = await probe();
  return program ? { program } : { fault: `${what}: what was fetched does not run here` };
};

/** `go install` of a module into the folder. */
export const fetchWithGo = (module: string, version: string, fetch: Omit<Fetch, 'what'>): Promise<Fetched> =>
  fetchProgram({ ...fetch, what: `${module}@${version} by go install` }, async (draft) => {
    await run('go', ['install', `${module}@${version}`], {
      env: { ...process.env, GOBIN: draft, CGO_ENABLED: '0', GOFLAGS: '-trimpath' },
      timeout: 600_000,
      maxBuffer: 16_777_216,
      signal: fetch.signal,
    });
  });

/**
 * Unpacks a package of the system's repository, and those that it needs and the system lacks, into the folder, by apt
 * with lists and a cache of its own.
 */
export const fetchWithApt = async (packageName: string, fetch: Omit<Fetch, 'what'>): Promise<Fetched> => {
  if (!findOnPath('apt-get') || !findOnPath('dpkg-deb')) return { fault: 'there is no apt-get here' };
  return fetchProgram({ ...fetch, what: `the package ${packageName}` }, async (draft) => {
    const apt = join(draft, 'apt');
    const archives = join(apt, 'cache', 'archives');
    mkdirSync(join(apt, 'lists', 'partial'), { recursive: true });
    mkdirSync(join(archives, 'partial'), { recursive: true });
    const settings = {
      'Dir::State::Lists': join(apt, 'lists'),
      'Dir::Cache': join(apt, 'cache'),
      // No lock of the system is needed to fill folders of ours, and apt's own download user could not write there.
      'Debug::NoLocking': '1',
      'APT::Sandbox::User': 'root',
    };
    const flags = Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
    const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C' };
    const options = { env: environment, timeout: 300_000, maxBuffer: 16_777_216, signal: fetch.signal };
    await run('apt-get', [...flags, '-q', 'update'], options);
    const words = ['install', '--yes', '--download-only', '--reinstall', '--no-install-recommends', packageName];
    await run('apt-get', [...flags, '-q', ...words], options);
    for (const file of readdirSync(archives).filter((name) => name.endsWith('.deb'))) {
      await run('dpkg-deb', ['--extract', join(archives, file), draft], options);
    }
    rmSync(apt, { recursive: true, force: true });
  });
};

/** The library folders of unpacked packages, as the dynamic linker is told of them. */
export const libraryEnvironment = (root: string): NodeJS.ProcessEnv => {
  const folders = globSync('{usr/,}lib/*-linux-*/', { cwd: root }).map((folder) => join(root, folder));
  return folders.length === 0 ? {} : { LD_LIBRARY_PATH: folders.join(delimiter) };
};

/** Another name, beside it, for a program that acts by the name that it is called by. */
export const linkAs = (path: string, name: string): string => {
  const link = join(dirname(path), name);
  if (!existsSync(link)) symlinkSync(basename(path), link);
  return link;
};
