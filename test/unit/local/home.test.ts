import {
  appendFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { HomeInUseError, keptSecret, lockHome, logTail, openLog, prepareHome } from '#platform/local/home.ts';

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'millrace-home-'));
  prepareHome(home);
});
afterEach(() => rmSync(home, { recursive: true }));

test('a home that is in use is refused with the process that uses it, and is free again after release', () => {
  const lock = lockHome(home);
  expect(() => lockHome(home)).toThrow(HomeInUseError);
  expect(() => lockHome(home)).toThrow(`process ${process.pid}`);
  lock.release();
  lock.release();
  lockHome(home).release();
});

test('two homes are locked independently', () => {
  const other = mkdtempSync(join(tmpdir(), 'millrace-home-'));
  const locks = [lockHome(home), lockHome(other)];
  for (const lock of locks) lock.release();
  rmSync(other, { recursive: true });
});

test('a secret is made once, kept for its owner only, and an emptied file is an error and not a new secret', () => {
  const path = join(home, 'key-pepper');
  expect(keptSecret(path, () => 'first')).toBe('first');
  expect(keptSecret(path, () => 'second')).toBe('first');
  expect(statSync(path).mode & 0o777).toBe(0o600);
  writeFileSync(path, '');
  expect(() => keptSecret(path, () => 'third')).toThrow(path);
});

test('a log over 10 MB is set aside at the next start, and the one before it is dropped', () => {
  const log = join(home, 'log', 'sink.log');
  writeFileSync(log, 'old\n');
  truncateSync(log, 10_485_761);
  expect(openLog(home, 'sink').offset).toBe(0);
  expect(readdirSync(join(home, 'log')).sort()).toEqual(['sink.log', 'sink.log.1']);
  appendFileSync(log, 'new\n');
  expect(openLog(home, 'sink').offset).toBe(4);
  expect(readFileSync(log, 'utf8')).toBe('new\n');
});

test('the tail of a log holds only what was logged after the offset', () => {
  appendFileSync(join(home, 'log', 'sink.log'), 'a run before\n');
  const { offset } = openLog(home, 'sink');
  expect(logTail(home, 'sink', offset)).toContain('nothing was logged');
  appendFileSync(join(home, 'log', 'sink.log'), 'one\ntwo\nthree\n');
  const tail = logTail(home, 'sink', offset, 2);
  expect(tail).toContain('two\nthree');
  expect(tail).not.toContain('one');
  expect(tail).not.toContain('before');
});
