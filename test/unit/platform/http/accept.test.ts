import { expect, it } from 'vitest';
import { preferredType } from '#platform/http/accept.ts';

const [json, html, lines] = ['application/json', 'text/html', 'application/x-ndjson'];

it.each([
  [undefined, json],
  ['*/*', json],
  ['', undefined],
  ['text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8', html],
  ['TEXT/HTML', html],
  ['application/json;q=0.5, text/html;q=0.4', json],
  ['application/json;q=0.4, text/html;q=0.5', html],
  ['application/json;q=0, */*', html],
  ['application/*', json],
  ['text/*;q=1, application/json;q=0.9', html],
  ['text/html;q=0, application/json;q=0', undefined],
  ['image/png', undefined],
])('%s of JSON and HTML prefers %s', (accept, type) => {
  expect(preferredType(accept, [json, html])).toBe(type);
});

it.each([
  ['application/x-ndjson', lines],
  ['Application/X-NDJSON;q=0.9', lines],
  ['application/x-ndjson, */*', lines],
  ['application/x-ndjson;q=0, */*', json],
  ['application/json, application/x-ndjson;q=0.5', json],
])('%s of JSON and lines prefers %s', (accept, type) => {
  expect(preferredType(accept, [json, lines])).toBe(type);
});
