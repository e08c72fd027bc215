/**
 * `node platform/local/bootstrap.mjs COMMAND [arguments]`: what the npm scripts run; COMMAND is one of `commands`
 * below. Plain JavaScript that any Node from 18 on can run with nothing installed. It brings `node_modules` up to date,
 * and then runs the command with the Node of this project.
 *
 * It writes to stderr only: `npm start -- --json` promises that stdout holds one line, and that line is the command's.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { basename, delimiter, dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const pinnedNode = join(root, 'node_modules', 'node', 'bin', process.platform === 'win32' ? 'node.exe' : 'node');

const commands = {
  demo: { file: 'bench/demo.main.ts', isOurs: true },
  start: { file: 'platform/local/start.main.ts', isOurs: true },
  migrate: { file: 'platform/local/migrate.main.ts', isOurs: true },
  // vitest looks for its tests from the folder that it is started in.
  test: { file: 'node_modules/vitest/vitest.mjs', words: ['run'], folder: root },
  bench: { file: 'bench/line.main.ts', isOurs: true },
  'bench-k6': { file: 'bench/k6.main.ts', isOurs: true },
  'bench-api': { file: 'bench/api.main.ts', isOurs: true },
  'bench-changes': { file: 'bench/changes.main.ts', isOurs: true },
  'bench-lists': { file: 'bench/lists.main.ts', isOurs: true },
  'bench-usage': { file: 'bench/usage.main.ts', isOurs: true },
  'bench-balances': { file: 'bench/balances.main.ts', isOurs: true },
  'bench-rating': { file: 'bench/rating.main.ts', isOurs: true },
  'bench-simulation': { file: 'bench/simulation.main.ts', isOurs: true },
  'bench-closing': { file: 'bench/closing.main.ts', isOurs: true },
  'bench-documents': { file: 'bench/documents.main.ts', isOurs: true },
  'test-clients': { file: 'test/clients/clients.main.ts', isOurs: true },
  'test-crash': { file: 'test/crash/crash.main.ts', isOurs: true },
  'test-model': { file: 'test/model/model.main.ts', isOurs: true },
  'test-mutation': { file: 'test/mutation/mutation.main.ts', isOurs: true },
  'fuzz-api': { file: 'test/fuzz/fuzz-api.main.ts', isOurs: true },
  'fuzz-parsers': { file: 'test/fuzz/parsers/fuzz-parsers.main.ts', isOurs: true },
  'rotate-keys': { file: 'platform/local/rotate-keys.main.ts', isOurs: true },
  'set-tier': { file: 'platform/local/set-tier.main.ts', isOurs: true },
  verify: { file: 'platform/local/verify.main.ts', isOurs: true },
  'dead-letters': { file: 'platform/local/dead-letters.main.ts', isOurs: true },
};

const print = (line) => process.stderr.write(`millrace  ${line}\n`);

const fail = (message) => {
  print(message);
  process.exit(1);
};

/** The packages that a lock file lists, by folder; `undefined` where there is none. */
const packagesOf = (path) => {
  try {
    return JSON.parse(readFileSync(path, 'utf8')).packages;
  } catch {
    return undefined;
  }
};

/**
 * True if node_modules holds what package-lock.json lists. npm writes `node_modules/.package-lock.json` as the last act
 * of an install, so an install that was interrupted doesn't pass, and no marker of our own can go stale. Optional
 * packages may be absent: they are those of other systems.
 */
const isInstalled = () => {
  const wanted = packagesOf(join(root, 'package-lock.json'));
  const present = packagesOf(join(root, 'node_modules', '.package-lock.json'));
  if (!wanted || !present || !existsSync(pinnedNode)) return false;
  return Object.entries(wanted).every(([folder, { version, integrity, optional, devOptional }]) => {
    const found = present[folder];
    if (folder === '') return true;
    return found ? found.version === version && found.integrity === integrity : Boolean(optional || devOptional);
  });
};

const run = (command, words, options) =>
  new Promise((resolve) => {
    const child = spawn(command, words, { cwd: root, ...options });
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) =>
      resolve(code === 0 ? undefined : signal ? `ended by ${signal}` : `exit code ${code}`),
    );
  });

/**
 * `npm install --no-save` takes the versions of the lock file, as `npm ci` does, and leaves the lock file alone; that
 * it did is checked afterwards. Unlike `npm ci` it does not empty node_modules first, from which another process of
 * this checkout may be running, and it accepts a lock file that was written where some optional package of another
 * system could not be had.
 */
const installWords = ['install', '--no-save', '--include=dev'];

const install = async () => {
  const begin = Date.now();
  print(`installing dependencies with npm ${installWords.join(' ')} ...`);
  // `npm start` says where the npm is that called it; another package manager that does so is not asked to read npm's
  // lock file.
  const caller = process.env.npm_execpath ?? '';
  const npm =
    basename(caller) === 'npm-cli.js' ? [process.execPath, caller] : [process.platform === 'win32' ? 'npm.cmd' : 'npm'];
  // The Node and the compiler of this project are development dependencies, so they are wanted in production mode too.
  const words = [...npm.slice(1), ...installWords, '--loglevel=error', '--no-audit', '--no-fund'];
  const fault = await run(npm[0], words, { stdio: ['ignore', 2, 2] });
  const byHand = `To see more, run by hand:\n  cd ${root} && npm ${installWords.join(' ')} --loglevel=verbose`;
  if (fault) fail(`npm install failed (${fault}). ${byHand}`);
  if (!existsSync(pinnedNode)) {
    fail(
      `npm left out Node itself, as it does where install scripts are turned off. Run:\n  cd ${root} && npm rebuild node --ignore-scripts=false`,
    );
  }
  if (!isInstalled()) fail(`npm left node_modules at odds with package-lock.json. ${byHand}`);
  print(`installed dependencies in ${((Date.now() - begin) / 1000).toFixed(1)} s`);
};

const lockPath = join(root, '.millrace', 'install.lock');
const heartbeatMs = 1000;
const staleMs = 15_000;

const takeLock = () => {
  mkdirSync(dirname(lockPath), { recursive: true });
  try {
    writeFileSync(lockPath, `${process.pid}\n`, { flag: 'wx' });
    return true;
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
    return false;
  }
};

const touchLock = () => {
  try {
    utimesSync(lockPath, new Date(), new Date());
  } catch {
    // Someone cleared the folder away. The install goes on; at worst a second one repeats it.
  }
};

const lockAgeMs = () => {
  const stat = statSync(lockPath, { throwIfNoEntry: false });
  return stat ? Date.now() - stat.mtimeMs : 0;
};

/**
 * Installs where it is due. One process at a time: its lock file is touched every second, so a lock that was not
 * touched for a while belongs to a dead process (a pid in it would not say so: pids are reused, and other containers
 * count their own).
 */
const ensureInstalled = async () => {
  for (let told = false; !isInstalled(); ) {
    if (takeLock()) {
      const heartbeat = setInterval(touchLock, heartbeatMs);
      const release = () => rmSync(lockPath, { force: true });
      process.once('exit', release);
      if (!isInstalled()) await install();
      clearInterval(heartbeat);
      process.off('exit', release);
      release();
    } else if (lockAgeMs() > staleMs) {
      rmSync(lockPath, { force: true });
    } else {
      if (!told) print('another process is installing dependencies; waiting for it ...');
      told = true;
      await delay(200);
    }
  }
};

/**
 * Signals are passed on, but not twice within a second: npm passes on what a terminal has already sent to all of us.
 */
const forwardSignals = (child) => {
  const lastAt = {};
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => {
      const now = Date.now();
      if (now - (lastAt[signal] ?? 0) < 1000) return;
      lastAt[signal] = now;
      child.kill(signal);
    });
  }
};

/**
 * npm can be killed without a chance to pass anything on. What it started then ends as on SIGTERM, so that the next
 * start finds its home free. Only under npm: whoever runs this file by hand may leave it to itself.
 */
const endWithParent = (child) => {
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    child.kill('SIGTERM');
  }, 500);
  timer.unref();
};

const runCommand = ({ file, isOurs = false, words: firstWords = [], folder = process.cwd() }, words) => {
  const environment = { ...process.env, PATH: [join(root, 'node_modules', '.bin'), process.env.PATH].join(delimiter) };
  // Compiled code is kept, which takes a third off the start of each process. Tests go without: it would blur their
  // coverage.
  if (isOurs) environment.NODE_COMPILE_CACHE ??= join(root, '.millrace', 'compile-cache');
  const child = spawn(pinnedNode, [join(root, file), ...firstWords, ...words], {
    // By the channel, a command of ours learns that this process was killed, and stops what it started.
    stdio: isOurs ? ['inherit', 'inherit', 'inherit', 'ipc'] : 'inherit',
    cwd: folder,
    env: environment,
  });
  forwardSignals(child);
  if (process.env.npm_lifecycle_event) endWithParent(child);
  child.once('error', (error) => fail(`can't run ${pinnedNode}: ${error.message}`));
  child.once('exit', (code, signal) => {
    // Ending by the same signal tells a shell the truth about an interrupted command.
    if (signal) {
      process.removeAllListeners(signal);
      process.kill(process.pid, signal);
    } else {
      process.exit(code ?? 1);
    }
  });
};

const [name = '', ...words] = process.argv.slice(2);
const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
if (!command) fail(`usage: node platform/local/bootstrap.mjs ${Object.keys(commands).join(' | ')} [arguments]`);
await ensureInstalled();
runCommand(command, words);
