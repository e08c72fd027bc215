import { hash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { dueMigrations, type MigrationFile, readMigrations } from '../../../../platform/stores/migrate.ts';

const file = (name: string, sql: string): MigrationFile => ({ name, sql, checksum: hash('sha256', sql, 'hex') });
const files = [
  file('0001_a.sql', 'CREATE TABLE a ()'),
  file('0002_b.sql', 'CREATE TABLE b ()'),
  file('0003_c.sql', 'CREATE TABLE c ()'),
];
const appliedOf = (...applied: MigrationFile[]) => new Map(applied.map(({ name, checksum }) => [name, checksum]));
const [a, b, c] = files as [MigrationFile, MigrationFile, MigrationFile];

describe('the migrations that are due', () => {
  it.each([
    ['all on an empty store', appliedOf(), [a, b, c]],
    ['those after the last that was applied', appliedOf(a), [b, c]],
    ['none where all were applied', appliedOf(a, b, c), []],
    ['one that was left out', appliedOf(a, c), [b]],
  ])('are %s, in order', (_what, applied, due) => {
    expect(dueMigrations(files, applied, 'PostgreSQL')).toEqual(due);
  });

  it.each([
    ['one blank', ' '],
    ['a comment', '-- why\n'],
  ])('are refused as a whole where one was changed after it was applied, by %s', (_what, added) => {
    const changed = [a, file('0002_b.sql', added + b.sql), c];
    expect(() => dueMigrations(changed, appliedOf(a, b), 'PostgreSQL')).toThrow(
      /PostgreSQL migration 0002_b\.sql was changed after/,
    );
  });

  it('may be changed as long as they were not applied', () => {
    const changed = [a, file('0002_b.sql', 'CREATE TABLE other ()')];
    expect(dueMigrations(changed, appliedOf(a), 'ClickHouse')).toEqual([changed[1]]);
  });
});

describe('the files of migrations', () => {
  it.each(['postgres', 'clickhouse'] as const)(
    'of %s are numbered from 1 without a gap, and carry the checksum of their text',
    async (store) => {
      const found = await readMigrations(store);
      expect(found.map(({ name }) => Number(name.slice(0, 4)))).toEqual(found.map((_, index) => index + 1));
      expect(found.length).toBeGreaterThan(0);
      for (const { sql, checksum } of found) expect(checksum).toBe(hash('sha256', sql, 'hex'));
    },
  );
});
