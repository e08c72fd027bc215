/**
 * Batches in which a tenth of the events were sent before, as callers retry: the gateway has to count exactly those as duplicates and accept exactly the
 * others. Each virtual user repeats events of its own last batch, which was answered: the outcome of every event is certain. See README.md.
 */
import { check } from 'k6';
import exec from 'k6/execution';
import http from 'k6/http';

const url = __ENV.MILLRACE_INGEST_URL || 'http://127.0.0.1:8081';
const rate = Number(__ENV.RATE || 25);
const batch = Number(__ENV.BATCH || 200);
const repeated = Math.ceil(batch / 10);
const params = { headers: { authorization: `Bearer ${__ENV.MILLRACE_API_KEY}`, 'content-type': 'application/json' } };

export const options = {
  scenarios: {
    mixed: {
      executor: 'constant-arrival-rate',
      rate,
      timeUnit: '1s',
      duration: `${__ENV.SECONDS || 30}s`,
      preAllocatedVUs: 10,
      maxVUs: 50,
    },
  },
  thresholds: {
    http_req_failed: ['rate==0'],
    http_req_duration: [`p(99)<${__ENV.P99_MS || 500}`],
    checks: ['rate==1'],
    dropped_iterations: ['rate<1'],
  },
};

/** Keys of one run are not those of another. */
export const setup = () => ({ run: `${Date.now()}-${Math.floor(Math.random() * 1e9)}` });

/** Of this virtual user; each has its own copy of this file's variables. */
let last = [];

export default ({ run }) => {
  const turn = exec.scenario.iterationInTest;
  const timestamp = new Date().toISOString();
  // The same payload, time included: another one under the same key would be a conflict.
  const old = last.slice(0, repeated);
  const fresh = Array.from({ length: batch - old.length }, (_, index) => ({
    idempotency_key: `k6-${run}-${turn}-${index}`,
    event: 'llm.request',
    customer_id: `k6_customer_${(turn + index) % 1000}`,
    timestamp,
    properties: { model: 'large-3', region: 'us-east', input_tokens: 900 + index, output_tokens: 150 },
  }));
  const answer = http.post(`${url}/v1/events`, JSON.stringify([...old, ...fresh]), params);
  const taken = check(answer, {
    'the request is taken': ({ status }) => status === 200,
    'exactly the repeated events are duplicates': ({ body }) => JSON.parse(body).duplicates === old.length,
    'exactly the new events are accepted': ({ body }) => JSON.parse(body).accepted === fresh.length,
  });
  last = taken ? fresh : [];
};
