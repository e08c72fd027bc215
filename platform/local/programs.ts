/**
 * Where the programs come from that npm does not ship: the PATH, or a folder `.millrace/bin` of the checkout that is filled on first use,
 * by Go's own installer or from the packages of a Debian-like system. Nothing is installed into the system, so nothing needs root, no
 * service is started, and removing the folder undoes it all. What can't be had like that is named with the command that would install it.
 */
import { execFile } from 'node:child_process';
import { accessSync, constants, cpSync, existsSync, globSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { delimiter, join } from 'node:path';
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

/** The first executable file of this name on the PATH, apart from npm's own folders. */
export const findOnPath = (name: string): string | undefined =>
  (process.env.PATH ?? '')
    .split(delimiter)
    .filter((folder) => folder !== '' && !folder.includes('node_modules'))
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
    const { stdout, stderr } = await run(path, [versionFlag], { env: { ...process.env, ...environment }, timeout: 10_000 });
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

/** Runs `fill` on an empty folder and moves the result to `target` in one step, so that two starts at once can't see each other's half. */
const fillFolder = async (target: string, fill: (draft: string) => Promise<void>): Promise<void> => {
  mkdirSync(programsFolder, { recursive: true });
  const draft = mkdtempSync(join(programsFolder, '.new-'));
  try {
    await fill(draft);
    rmSync(target, { recursive: true, force: true });
    renameSync(draft, target);
  } catch (error) {
    rmSync(draft, { recursive: true, force: true });
    throw error;
  }
};

/** `go install module@version` into a folder of ours. Returns the reason where it fails. */
export const installWithGo = async (
  module: string,
  version: string,
  target: string,
  log: Log,
  signal?: AbortSignal,
): Promise<string | undefined> => {
  const begin = performance.now();
  log.info(`building ${module}@${version} with Go; this happens once and takes about a minute`);
  try {
    await fillFolder(target, async (draft) => {
      await run('go', ['install', `${module}@${version}`], {
        env: { ...process.env, GOBIN: draft, CGO_ENABLED: '0', GOFLAGS: '-trimpath' },
        timeout: 600_000,
        ...(signal ? { signal } : {}),
        maxBuffer: 16_777_216,
      });
    });
    log.info(`built ${module}@${version} in ${Math.round((performance.now() - begin) / 1000)} s`);
    return undefined;
  } catch (error) {
    return `go install failed: ${reasonOf(error)}`;
  }
};

/**
 * Unpacks a package of the system's repository, and those that it needs and the system lacks, below `target`, by apt with lists and a
 * cache of its own. Returns the reason where it fails.
 */
export const unpackWithApt = async (packageName: string, target: string, log: Log, signal?: AbortSignal): Promise<string | undefined> => {
  if (!findOnPath('apt-get') || !findOnPath('dpkg-deb')) return 'there is no apt-get here';
  const begin = performance.now();
  log.info(`fetching ${packageName} from the package repository of this system; this happens once`);
  try {
    await fillFolder(target, async (draft) => {
      const apt = join(draft, 'apt');
      for (const folder of ['lists/partial', 'cache/archives/partial']) mkdirSync(join(apt, folder), { recursive: true });
      const own = {
        'Dir::State::Lists': join(apt, 'lists'),
        'Dir::Cache': join(apt, 'cache'),
        // No lock of the system is needed to fill folders of ours, and apt's own download user could not write there.
        'Debug::NoLocking': '1',
        'APT::Sandbox::User': 'root',
      };
      const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
      const options = { timeout: 300_000, maxBuffer: 16_777_216, env: environment, ...(signal ? { signal } : {}) };
      const flags = Object.entries(own).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
      await run('apt-get', [...flags, '-q', 'update'], options);
      const install = ['install', '--yes', '--download-only', '--reinstall', '--no-install-recommends', packageName];
      await run('apt-get', [...flags, '-q', ...install], options);
      const archives = join(apt, 'cache', 'archives');
      for (const file of readdirSync(archives).filter((name) => name.endsWith('.deb'))) {
        await run('dpkg-deb', ['--extract', join(archives, file), draft], options);
      }
      rmSync(apt, { recursive: true, force: true });
    });
    log.info(`fetched ${packageName} in ${Math.round((performance.now() - begin) / 1000)} s`);
    return undefined;
  } catch (error) {
    return `apt-get failed: ${reasonOf(error)}`;
  }
};

/** The library folders of unpacked packages, as the dynamic linker is told of them. */
export const libraryEnvironment = (root: string): NodeJS.ProcessEnv => {
  const folders = globSync('{usr/,}lib/*-linux-*/', { cwd: root }).map((folder) => join(root, folder));
  return folders.length === 0 ? {} : { LD_LIBRARY_PATH: folders.join(delimiter) };
};

/** Gives a program that acts by the name it is called with another name, beside itself. */
export const copyAs = (path: string, target: string): void => {
  if (!existsSync(target)) cpSync(path, target);
};
