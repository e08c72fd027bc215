/**
 * The bootstrap in a small checkout of its own, with a stand-in for npm that takes its time and can fail, as installs
 * do.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, test } from 'vitest';

const lockFile = { packages: { '': { name: 'x' }, 'node_modules/a': { version: '1.0.0', integrity: 'sha512-a' } } };

const npm = `
const { appendFileSync, mkdirSync, rmSync, symlinkSync, writeFileSync, readFileSync } = require('node:fs');
appendFileSync('installs', process.argv.slice(2).join(' ') + '\\n');
console.log('npm speaks on stdout');
if (process.env.NPM_FAILS) { console.error('npm error: no such registry'); process.exit(7); }
rmSync('node_modules', { recursive: true, force: true });
mkdirSync('node_modules/node/bin', { recursive: true });
symlinkSync(process.execPath, 'node_modules/node/bin/node');
setTimeout(() => writeFileSync('node_modules/.package-lock.json', readFileSync('package-lock.json')), 700);
`;

/** Stands in for the command: says what it got, counts the signals that reach it, and ends a moment after the first. */
const command = `
console.log(JSON.stringify({ words: process.argv.slice(2), path: process.env.PATH.split(':')[0] }));
if (process.argv.includes('--stay')) {
  let signals = 0;
  process.on('SIGTERM', () => { process.stderr.write('stopping\\n'); if (++signals === 1) setTimeout(() => { console.log('signals ' + signals); process.exit(0); }, 500); });
  setInterval(() => {}, 1000);
  process.stderr.write('staying\\n');
} else process.exit(5);
`;

let checkout: string;
let children: ChildProcess[];
beforeEach(() => {
  checkout = mkdtempSync(join(tmpdir(), 'millrace-bootstrap-'));
  children = [];
  mkdirSync(join(checkout, 'platform/local'), { recursive: true });
  cpSync(
    new URL('../../../platform/local/bootstrap.mjs', import.meta.url),
    join(checkout, 'platform/local/bootstrap.mjs'),
  );
  writeFileSync(join(checkout, 'package.json'), '{"type":"module"}');
  writeFileSync(join(checkout, 'package-lock.json'), JSON.stringify(lockFile));
  mkdirSync(join(checkout, 'npm'));
  writeFileSync(join(checkout, 'npm/package.json'), '{"type":"commonjs"}');
  writeFileSync(join(checkout, 'npm/npm-cli.js'), npm);
  writeFileSync(join(checkout, 'platform/local/start.main.ts'), command);
});
afterEach(() => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(checkout, { recursive: true, force: true });
});

const begin = (words: string[], environment: NodeJS.ProcessEnv = {}) => {
  const child = spawn(process.execPath, [join(checkout, 'platform/local/bootstrap.mjs'), ...words], {
    cwd: checkout,
    env: { ...process.env, npm_execpath: join(checkout, 'npm/npm-cli.js'), ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(child);
  return child;
};
const finish = async (child: ReturnType<typeof begin>) => {
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
  return { out, err, code: code as number | null };
};
const installs = () =>
  existsSync(join(checkout, 'installs')) ? readFileSync(join(checkout, 'installs'), 'utf8').trim().split('\n') : [];

test('the first run installs, keeps stdout for the command, and ends with its code', async () => {
  const first = await finish(begin(['start', '--json']));
  expect(first).toMatchObject({ code: 5 });
  expect(JSON.parse(first.out)).toEqual({ words: ['--json'], path: join(checkout, 'node_modules', '.bin') });
  expect(first.err).toMatch(/installed dependencies in \d+\.\d s/);
  const second = await finish(begin(['start']));
  expect(second.err).toBe('');
  expect(installs()).toHaveLength(1);
});

test('two first runs at once install once', async () => {
  const both = await Promise.all([finish(begin(['start'])), finish(begin(['start']))]);
  expect(both.map(({ code }) => code)).toEqual([5, 5]);
  expect(installs()).toHaveLength(1);
});

test('a changed lock file, a missing package and an interrupted install each lead to a new install', {
  timeout: 180_000,
}, async () => {
  await finish(begin(['start']));
  const changed = { packages: { ...lockFile.packages, 'node_modules/b': { version: '2.0.0', integrity: 'sha512-b' } } };
  writeFileSync(join(checkout, 'package-lock.json'), JSON.stringify(changed));
  await finish(begin(['start']));
  expect(installs()).toHaveLength(2);
  rmSync(join(checkout, 'node_modules/.package-lock.json'));
  await finish(begin(['start']));
  expect(installs()).toHaveLength(3);
});

test('an optional package of another system may be absent', async () => {
  await finish(begin(['start']));
  const withOptional = {
    packages: { ...lockFile.packages, 'node_modules/b': { version: '1.0.0', integrity: 'x', optional: true } },
  };
  writeFileSync(join(checkout, 'package-lock.json'), JSON.stringify(withOptional));
  await finish(begin(['start']));
  expect(installs()).toHaveLength(1);
});

test('a failed install says why and what to run by hand, and the next run tries again', {
  timeout: 180_000,
}, async () => {
  const failed = await finish(begin(['start'], { NPM_FAILS: '1' }));
  expect(failed.code).toBe(1);
  expect(failed.err).toMatch(
    /no such registry[\s\S]*npm install failed \(exit code 7\)[\s\S]*npm install --no-save --include=dev/,
  );
  expect((await finish(begin(['start']))).code).toBe(5);
});

test('the lock of an install that was killed is taken over', async () => {
  mkdirSync(join(checkout, '.millrace'));
  appendFileSync(join(checkout, '.millrace/install.lock'), '1\n');
  const longAgo = new Date(Date.now() - 60_000);
  utimesSync(join(checkout, '.millrace/install.lock'), longAgo, longAgo);
  expect((await finish(begin(['start']))).code).toBe(5);
});

test('a signal that arrives twice at once is passed on once, and the command ends in its own time', {
  timeout: 180_000,
}, async () => {
  await finish(begin(['start']));
  const child = begin(['start', '--stay']);
  const ended = finish(child);
  await once(child.stderr, 'data');
  child.kill('SIGTERM');
  await once(child.stderr, 'data');
  child.kill('SIGTERM');
  const { out, code } = await ended;
  expect(out).toContain('signals 1');
  expect(code).toBe(0);
});

test('the command is stopped when the npm that runs it is killed, which can pass nothing on', {
  timeout: 180_000,
}, async () => {
  await finish(begin(['start']));
  const script = `"${process.execPath}" "${join(checkout, 'platform/local/bootstrap.mjs')}" start --stay & wait`;
  const npmRun = spawn('sh', ['-c', script], {
    cwd: checkout,
    env: { ...process.env, npm_lifecycle_event: 'start' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(npmRun);
  // The pipe is closed once nobody is left who could write to it.
  const out = text(npmRun.stdout);
  await once(npmRun.stderr, 'data');
  npmRun.kill('SIGKILL');
  expect(await out).toContain('signals 1');
});

test('an unknown command is refused with the commands there are', async () => {
  const { err, code } = await finish(begin(['serve']));
  expect(code).toBe(1);
  expect(err).toContain('demo | start | migrate | test');
});
