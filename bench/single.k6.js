/** One event a request at a fixed rate, as an application sends them that does not gather. See README.md. */
import { check } from 'k6';
import exec from 'k6/execution';
import http from 'k6/http';

const url = __ENV.MILLRACE_INGEST_URL || 'http://127.0.0.1:8081';
const rate = Number(__ENV.RATE || 500);
const params = { headers: { authorization: `Bearer ${__ENV.MILLRACE_API_KEY}`, 'content-type': 'application/json' } };

export const options = {
  scenarios: {
    single: {
      executor: 'constant-arrival-rate',
      rate,
      timeUnit: '1s',
      duration: `${__ENV.SECONDS || 30}s`,
      preAllocatedVUs: 50,
      maxVUs: 200,
    },
  },
  thresholds: {
    http_req_failed: ['rate==0'],
    http_req_duration: [`p(99)<${__ENV.P99_MS || 100}`],
    checks: ['rate==1'],
    dropped_iterations: ['rate<1'],
  },
};

/** Keys of one run are not those of another. */
export const setup = () => ({ run: `${Date.now()}-${Math.floor(Math.random() * 1e9)}` });

export default ({ run }) => {
  const event = {
    idempotency_key: `k6-${run}-${exec.scenario.iterationInTest}`,
    event: 'llm.request',
    customer_id: `k6_customer_${exec.scenario.iterationInTest % 1000}`,
    timestamp: new Date().toISOString(),
    properties: { model: 'small-3', region: 'eu-west', input_tokens: 900, output_tokens: 150 },
  };
  const answer = http.post(`${url}/v1/events`, JSON.stringify(event), params);
  check(answer, { 'the event is accepted': ({ status, body }) => status === 200 && JSON.parse(body).accepted === 1 });
};
