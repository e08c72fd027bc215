/**
 * Balances that are asked for while events arrive. Of one half of the customers nothing more arrives once they are
 * measured: their balance has to be the same to the last digit at each read; that of the others may only rise. See
 * README.md.
 */
import { check, sleep } from 'k6';
import exec from 'k6/execution';
import http from 'k6/http';

const ingestUrl = __ENV.MILLRACE_INGEST_URL || 'http://127.0.0.1:8081';
const apiUrl = __ENV.MILLRACE_API_URL || 'http://127.0.0.1:8080';
const headers = { authorization: `Bearer ${__ENV.MILLRACE_API_KEY}`, 'content-type': 'application/json' };
const duration = `${__ENV.SECONDS || 30}s`;
const customers = 100;
const batch = Number(__ENV.BATCH || 200);
const usedBefore = 4;

const at = (rate) => ({
  executor: 'constant-arrival-rate',
  rate,
  timeUnit: '1s',
  duration,
  preAllocatedVUs: 30,
  maxVUs: 100,
});

export const options = {
  scenarios: {
    reads: { ...at(Number(__ENV.RATE || 100)), exec: 'read' },
    events: { ...at(Number(__ENV.EVENTS_PER_SECOND || 1000) / batch), exec: 'send' },
  },
  thresholds: {
    'http_req_failed{scenario:reads}': ['rate==0'],
    'http_req_failed{scenario:events}': ['rate==0'],
    'http_req_duration{scenario:reads}': [`p(99)<${__ENV.P99_MS || 150}`],
    checks: ['rate==1'],
    'dropped_iterations{scenario:reads}': ['rate<1'],
  },
};

const post = (url, body) => {
  const answer = http.post(url, JSON.stringify(body), { headers });
  if (answer.status >= 300) throw new Error(`${url} answered ${answer.status}: ${answer.body}`);
  return answer;
};
const balanceOf = (customer) =>
  http.get(`${apiUrl}/v1/customers/${customer}/balance`, { headers, tags: { name: 'balance' } });
const totalOf = ({ status, body }) => (status === 200 ? Number(JSON.parse(body).currencies[0].total) : Number.NaN);
const eventsOf = (run, name, customerOf, count) => {
  const timestamp = new Date().toISOString();
  return Array.from({ length: count }, (_, index) => ({
    idempotency_key: `k6-${run}-${name}-${index}`,
    event: `k6.call.${run}`,
    customer_id: customerOf(index),
    timestamp,
  }));
};

/** Each pays 2.50 a call; four were made before. */
export const setup = () => {
  const run = `${Date.now()}-${Math.floor(Math.random() * 1e9)}`;
  const code = `k6-${run}`;
  post(`${apiUrl}/v1/meters`, { code, name: 'Calls', event: `k6.call.${run}`, aggregation: 'count' });
  post(`${apiUrl}/v1/plans`, {
    code,
    name: 'k6',
    currency: 'USD',
    charges: [{ code: 'calls', name: 'Calls', meter: code, price: { model: 'per_unit', unit_amount: '2.50' } }],
  });
  const names = Array.from({ length: customers }, (_, index) => `k6_${run}_${index}`);
  for (const name of names) {
    post(`${apiUrl}/v1/customers`, { external_id: name, name });
    post(`${apiUrl}/v1/subscriptions`, { customer_id: name, plan: code });
  }
  post(
    `${ingestUrl}/v1/events`,
    eventsOf(run, 'before', (index) => names[index % customers], customers * usedBefore),
  );
  for (let turn = 0; turn < 100 && totalOf(balanceOf(names[customers - 1])) < 10; turn += 1) sleep(0.1);
  return { run, names };
};

/** Of this virtual user: the last balance of each customer that it asked for. */
const seen = {};

export const read = ({ names }) => {
  const index = exec.scenario.iterationInTest % customers;
  const answer = balanceOf(names[index]);
  const total = totalOf(answer);
  check(answer, {
    'a balance is read': ({ status }) => status === 200,
    'one whose usage is over stays as it is': () => index % 2 === 1 || total === 10,
    'one whose usage goes on does not fall': () => total >= (seen[index] || 10),
  });
  seen[index] = total;
};

/** For every other customer. */
export const send = ({ run, names }) => {
  const turn = exec.scenario.iterationInTest;
  const customerOf = (index) => names[((turn * batch + index) * 2 + 1) % customers];
  const answer = http.post(`${ingestUrl}/v1/events`, JSON.stringify(eventsOf(run, turn, customerOf, batch)), {
    headers,
  });
  check(answer, {
    'the events are accepted': ({ status, body }) => status === 200 && JSON.parse(body).accepted === batch,
  });
};
