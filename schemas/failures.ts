/**
 * Every public error code, once: status, what it means, and what the caller does about it. An answer names its code; a client may
 * rely on the code and on the status, never on the words.
 */
import type { Fault } from '#schemas/fault.ts';

export type { Fault };

export type Failure = { readonly status: number; readonly title: string; readonly cure: string };

const failure = (status: number, title: string, cure: string): Failure => ({ status, title, cure });

export const failures = {
  MALFORMED_BODY: failure(400, 'The body is not valid JSON', 'Send UTF-8 JSON; the detail names the place where reading stopped.'),
  BAD_REQUEST: failure(400, 'The request is not usable', 'Correct what `errors` lists.'),
  UNKNOWN_API_KEY: failure(
    401,
    'The API key is missing, unknown, expired or revoked',
    'Send `Authorization: Bearer <key>` with a key of your organization.',
  ),
  INVALID_SIGNATURE: failure(
    401,
    'The signature of the request is missing or not valid',
    'Sign time, method, path and body with the signing secret of the key, with a clock that is right.',
  ),
  MISSING_SCOPE: failure(403, 'The API key lacks the scope of this route', 'Use a key with the scope that the detail names.'),
  SCOPE_NOT_GRANTABLE: failure(403, 'A key can only grant what it holds itself', 'Ask for scopes that the calling key holds.'),
  NOT_FOUND: failure(404, 'There is no such route', 'Check the path.'),
  API_KEY_NOT_FOUND: failure(404, 'There is no such API key', 'Use the id of a key of your organization.'),
  CUSTOMER_NOT_FOUND: failure(404, 'There is no such customer', 'Use the id or the external_id of a customer of your organization.'),
  METER_NOT_FOUND: failure(404, 'There is no such meter', 'Use the id or the code of a meter of your organization.'),
  PLAN_NOT_FOUND: failure(404, 'There is no such plan', 'Use the id or the code of a plan of your organization.'),
  SUBSCRIPTION_NOT_FOUND: failure(404, 'There is no such subscription', 'Use the id of a subscription of your organization.'),
  INVOICE_NOT_FOUND: failure(404, 'There is no such invoice', 'Use the id of an invoice of your organization.'),
  BILLING_RUN_NOT_FOUND: failure(404, 'There is no such billing run', 'Use the id that POST /v1/invoices/run answered.'),
  METHOD_NOT_ALLOWED: failure(405, 'The route has no such method', 'Use a method that the header Allow names.'),
  REQUEST_TIMEOUT: failure(408, 'The request took too long to arrive', 'Send it again, in one go; split a large one.'),
  API_KEY_NOT_ACTIVE: failure(409, 'The API key is revoked, expired or was rotated already', 'Create a new key.'),
  IDEMPOTENCY_KEY_IN_USE: failure(
    409,
    'A request with this idempotency key is still being worked on',
    'Send the same request again after Retry-After seconds.',
  ),
  CUSTOMER_ALREADY_EXISTS: failure(409, 'A customer with this external_id exists', 'Read it by its external_id, or choose another.'),
  METER_ALREADY_EXISTS: failure(409, 'A meter with this code exists', 'Read it by its code, or choose another.'),
  PLAN_ALREADY_EXISTS: failure(409, 'A plan with this code exists', 'Read it by its code, or choose another.'),
  SUBSCRIPTION_ALREADY_ACTIVE: failure(409, 'The customer has an active subscription to this plan', 'Use the existing one.'),
  PERIOD_NOT_ENDED: failure(409, 'The billing period is still running', 'Close it after its end; events of the period may still arrive.'),
  IDEMPOTENCY_CONFLICT: failure(
    409,
    'The idempotency key was used with another payload',
    'Send a new event under a new key; the first payload stands.',
  ),
  VERSION_MISMATCH: failure(
    412,
    'The object was changed since it was read',
    'Read it again, apply your change to what it is now, and send its new ETag in If-Match.',
  ),
  BODY_TOO_LARGE: failure(413, 'The body is larger than the limit', 'Split the request.'),
  TOO_MANY_EVENTS: failure(413, 'The request has more events than the limit', 'Split the request.'),
  UNSUPPORTED_MEDIA_TYPE: failure(415, 'The content type is not supported', 'Send application/json.'),
  VALIDATION_FAILED: failure(422, 'The request has invalid fields', 'Correct the fields that `errors` lists; all of them are listed.'),
  IDEMPOTENCY_KEY_REUSED: failure(
    422,
    'The idempotency key was used for another request',
    'Send a new request under a new key; repeat a request unchanged.',
  ),
  EVENTS_REJECTED: failure(422, 'No event of the request was accepted', 'Correct the events as `results` says and send them again.'),
  RATE_LIMITED: failure(429, 'The organization sends requests faster than its limit', 'Send it again after Retry-After seconds; spread requests out.'),
  QUOTA_EXCEEDED: failure(
    429,
    'The organization has used up its requests of the day',
    'Wait for the next day (UTC), or have the tier of the organization raised.',
  ),
  HEADERS_TOO_LARGE: failure(431, 'The request headers are larger than the limit', 'Send fewer or shorter headers.'),
  INTERNAL_ERROR: failure(500, 'A fault of ours', 'Try again; if it stays, report the request_id.'),
  DEPENDENCY_UNAVAILABLE: failure(
    503,
    'A part that this request needs is down',
    'Send the same request again after Retry-After seconds; nothing is counted twice.',
  ),
  EVENTS_NOT_FINAL: failure(
    503,
    'Some events have no final outcome yet',
    'Send the whole request again, unchanged, after Retry-After seconds; nothing is counted twice.',
  ),
  OVERLOADED: failure(503, 'The server works on as much as it may', 'Send the same request again after Retry-After seconds.'),
} as const satisfies Record<string, Failure>;

export type FailureCode = keyof typeof failures;

/** RFC 9457 problem details, with our stable code, the request id and all faults. */
export type Problem = {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly error_code: FailureCode;
  readonly request_id: string;
  readonly errors: readonly Fault[];
};

export const toProblem = (code: FailureCode, requestId: string, detail?: string, errors: readonly Fault[] = []): Problem => ({
  type: `/docs/errors/${code}`,
  title: failures[code].title,
  status: failures[code].status,
  detail: detail ?? failures[code].cure,
  error_code: code,
  request_id: requestId,
  errors,
});

/** Thrown inside a request to end it with a problem: the one way from a use case's refusal to an answer. */
export class FailureError extends Error {
  readonly code: FailureCode;
  readonly detail: string | undefined;
  readonly faults: readonly Fault[];
  constructor(code: FailureCode, detail?: string, faults: readonly Fault[] = []) {
    super(detail ?? failures[code].title);
    this.name = 'FailureError';
    this.code = code;
    this.detail = detail;
    this.faults = faults;
  }
}
