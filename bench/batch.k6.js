/** Batches of 200 events at a fixed rate, as a collector or an SDK sends them. See README.md. */
import { check } from 'k6';
import exec from 'k6/execution';
import http from 'k6/http';

const url = __ENV.MILLRACE_INGEST_URL || 'http://127.0.0.1:8081';
const rate = Number(__ENV.RATE || 25);
const batch = Number(__ENV.BATCH || 200);
const params = { headers: { authorization: `Bearer ${__ENV.MILLRACE_API_KEY}`, 'content-type': 'application/json' } };

export const options = {
  scenarios: {
    batch: {
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

export default ({ run }) => {
  const turn = exec.scenario.iterationInTest;
  const timestamp = new Date().toISOString();
  const events = Array.from({ length: batch }, (_, index) => ({
    idempotency_key: `k6-${run}-${turn}-${index}`,
    event: 'llm.request',
    customer_id: `k6_customer_${(turn + index) % 1000}`,
    timestamp,
    properties: { model: 'small-3', region: 'eu-west', input_tokens: 900 + index, output_tokens: 150 },
  }));
  const answer = http.post(`${url}/v1/events`, JSON.stringify(events), params);
  check(answer, {
    'every event is accepted': ({ status, body }) => status === 200 && JSON.parse(body).accepted === batch,
  });
};
