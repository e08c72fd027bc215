import { describe, expect, it } from 'vitest';
import { backoffMs, isPassing, parts, UnavailableError } from '../../../../platform/stores/retry.ts';

const coded = (code: string | number, message = 'failed', options?: ErrorOptions) =>
  Object.assign(new Error(message, options), { code });

describe('a fault that passes', () => {
  it.each([
    ['a part that is not available', new UnavailableError('redis', new Error('x'))],
    ['a refused connection', coded('ECONNREFUSED')],
    ['a reset connection', coded('ECONNRESET')],
    ['a broken pipe', coded('EPIPE')],
    ['a name that can not be resolved now', coded('EAI_AGAIN')],
    ['PostgreSQL: a serialization failure', coded('40001', 'could not serialize access due to concurrent update')],
    ['PostgreSQL: a deadlock', coded('40P01', 'deadlock detected')],
    ['PostgreSQL: too many connections', coded('53300', 'sorry, too many clients already')],
    ['PostgreSQL: a full disk', coded('53100', 'could not extend file')],
    ['PostgreSQL: a shutdown', coded('57P01', 'terminating connection due to administrator command')],
    ['PostgreSQL: a start', coded('57P03', 'the database system is starting up')],
    ['PostgreSQL: a statement that took too long', coded('57014', 'canceling statement due to statement timeout')],
    ['PostgreSQL: a lock that took too long', coded('55P03', 'canceling statement due to lock timeout')],
    ['ClickHouse: out of memory', coded('241', 'memory limit exceeded')],
    ['ClickHouse: too many parts', coded(252, 'Too many parts')],
    ['ClickHouse: too many queries', coded('202', 'Too many simultaneous queries')],
    ['pg, in words', new Error('Connection terminated unexpectedly')],
    ['pg, in words, of a pool', new Error('timeout exceeded when trying to connect')],
    ['pg, in words, of a client', new Error('Client has encountered a connection error and is not queryable')],
    ['ClickHouse, in words', new Error('Timeout error.')],
    ['ioredis, in words', new Error('Command timed out')],
    ['Node, in words', new Error('socket hang up')],
    ['with a passing cause', new Error('outer', { cause: new Error('inner', { cause: coded('ECONNREFUSED') }) })],
    ['one of several that passes', new AggregateError([new Error('no'), coded('ECONNREFUSED')])],
  ])('%s', (_what, error) => {
    expect(isPassing(error)).toBe(true);
  });
});

describe('a fault that stays', () => {
  it.each([
    ['a bug', new TypeError('undefined is not a function')],
    ['a broken constraint', coded('23505', 'duplicate key value violates unique constraint "plans_code_key"')],
    [
      'a fault whose words quote the caller',
      coded('22P02', 'invalid input syntax for type uuid: "connection timeout"'),
    ],
    ['a missing column that is named like a fault', coded('42703', 'column "timeout_ms" does not exist')],
    [
      'data that ClickHouse can not parse, quoted',
      coded('27', 'Cannot parse input: expected , before: socket hang up'),
    ],
    ['a missing table', coded('60', 'Table usage_events does not exist')],
    ['a wrong password', coded('28P01', 'password authentication failed')],
    ['several of which none passes', new AggregateError([new Error('no'), coded('23505')])],
    ['with a cause that stays', new Error('outer', { cause: coded('23505') })],
    ['a text', 'timeout'],
    ['nothing', undefined],
    ['an object that is no Error', { code: 'ECONNREFUSED' }],
  ])('%s', (_what, error) => {
    expect(isPassing(error)).toBe(false);
  });
});

describe('an unavailable part', () => {
  it.each(Object.keys(parts) as (keyof typeof parts)[])('%s is named in the message, with the cause', (part) => {
    const cause = new Error('connect ECONNREFUSED');
    const error = new UnavailableError(part, cause);
    expect(error.message).toBe(`${parts[part]} is not available: connect ECONNREFUSED`);
    expect(error.cause).toBe(cause);
    expect(error.retryAfterSeconds).toBeGreaterThan(0);
  });
});

describe('the wait before another try', () => {
  it.each([
    [0, 0, 50],
    [0, 0.999_999, 99],
    [1, 0, 50],
    [1, 0.999_999, 199],
    [3, 0.5, 425],
    [5, 0.999_999, 3_199],
    [6, 0.999_999, 4_999],
    [1_000, 0, 50],
    [1_000, 0.999_999, 4_999],
  ])('of try %i with the random number %d is %i ms', (attempt, random, expected) => {
    expect(backoffMs(attempt, random)).toBe(expected);
  });

  it('stays between half of the first and the ceiling, and its ceiling never falls', () => {
    let before = 0;
    for (let attempt = 0; attempt < 2_000; attempt += 1) {
      const longest = backoffMs(attempt, 1 - Number.EPSILON, 10, 700);
      expect(backoffMs(attempt, 0, 10, 700)).toBe(5);
      expect(longest).toBeGreaterThanOrEqual(before);
      expect(longest).toBeLessThanOrEqual(700);
      before = longest;
    }
  });
});
