import { expect, test } from 'vitest';
import { isAtLeast, parseVersion, type Version } from '#platform/local/versions.ts';

test.each([
  ['nats-server: v2.12.15', [2, 12, 15]],
  ['nats-server: v2.9.10', [2, 9, 10]],
  ['nats-server: v2.14.0-RC.1', [2, 14, 0]],
  ['go version go1.26.8 linux/amd64', [1, 26, 8]],
  ['go version go1.21 darwin/arm64', [1, 21, 0]],
  ['Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=ae4d7c971a948f0', [7, 0, 15]],
  ['postgres (PostgreSQL) 18.4', [18, 4, 0]],
])('the version in "%s" is read', (text, version) => {
  expect(parseVersion(text)).toEqual(version);
});

test.each(['', 'command not found', 'v2', 'sha=00000000:0'])('no version is made up from "%s"', (text) => {
  expect(parseVersion(text)).toBeUndefined();
});

test.each<[Version, Version, boolean]>([
  [[2, 10, 0], [2, 10, 0], true],
  [[2, 9, 99], [2, 10, 0], false],
  [[2, 10, 1], [2, 10, 2], false],
  [[3, 0, 0], [2, 10, 0], true],
  [[1, 99, 99], [2, 0, 0], false],
])('%j is at least %j: %s', (version, least, expected) => {
  expect(isAtLeast(version, least)).toBe(expected);
});
