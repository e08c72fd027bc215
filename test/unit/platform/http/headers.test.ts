import { describe, expect, it } from 'vitest';
import { faultOfHeaders, headersMax } from '../../../../platform/http/headers.ts';

const host = ['Host', 'a'];
const many = (count: number): string[] => Array.from({ length: count }, (_, index) => [`x-${index}`, 'a']).flat();

describe('the headers of a request', () => {
  it.each([
    ['are fine', ['Accept', '*/*', 'Authorization', 'Bearer a']],
    [
      'may repeat a list',
      [
        'Accept',
        'text/plain',
        'Accept',
        '*/*',
        'Cookie',
        'a',
        'cookie',
        'b',
        'X-Forwarded-For',
        'a',
        'X-Forwarded-For',
        'b',
      ],
    ],
    [
      'may have the name of one as the value of another',
      ['x-a', 'authorization', 'x-b', 'authorization', 'authorization', 'host'],
    ],
    ['may be as many as the limit', many(headersMax - 1)],
  ])('%s', (_what, headers) => {
    expect(faultOfHeaders([...host, ...headers], '1.1')).toBeUndefined();
  });

  it.each([
    ['authorization', ['Authorization', 'Bearer a', 'Accept', 'b', 'AUTHORIZATION', 'Bearer a']],
    ['host', ['host', 'a']],
    ['idempotency-key', ['Idempotency-Key', 'a', 'idempotency-key', 'b']],
    ['content-type', ['content-type', 'a', 'content-type', 'b']],
  ])('name %s once at most', (name, headers) => {
    expect(faultOfHeaders([...host, ...headers], '1.1')).toEqual({
      code: 'BAD_REQUEST',
      detail: `The header ${name} is given more than once`,
    });
  });

  it('are not more than the limit', () => {
    expect(faultOfHeaders([...host, ...many(headersMax)], '1.1')).toMatchObject({ code: 'HEADERS_TOO_LARGE' });
  });

  it('name a host, but for HTTP/1.0, and no other version is spoken', () => {
    expect(faultOfHeaders([], '1.1')).toEqual({ code: 'BAD_REQUEST', detail: 'The header host is missing' });
    expect(faultOfHeaders([], '1.0')).toBeUndefined();
    for (const version of ['0.9', '2.0']) expect(faultOfHeaders(host, version)).toMatchObject({ code: 'BAD_REQUEST' });
  });
});
