/**
 * Every public error code, once: status, what it means, and what the caller does about it. An answer names its code; a
 * client may rely on the code and on the status, never on the words.
 */
import type { Fault } from '#schemas/fault.ts';
import { type Failure, resourceConflicts, resourcesNotFound } from '#schemas/resources.ts';

export type { Failure, Fault };

const failure = (status: number, title: string, cause: string, cure: string): Failure => ({
  status,
  title,
  cause,
  cure,
});

export const failures = {
  MALFORMED_BODY: failure(
    400,
    'The body can not be read',
    'The body is not of the form that Content-Type names, was cut off or broken on its way, or is JSON that two readers could take in two ways, such as with a name given twice in one object.',
    'Send a body of that form, in UTF-8 where it is text; the detail names the place where reading stopped.',
  ),
  BAD_REQUEST: failure(
    400,
    'The request is not usable',
    'A header, a parameter of the path or one of the query is missing, unknown, given twice or not of its form.',
    'Correct what `errors` lists.',
  ),
  UNKNOWN_API_KEY: failure(
    401,
    'The API key is missing, unknown, expired or revoked',
    'The header Authorization is missing or has another form, or its key was never made, has expired or was revoked.',
    'Send `Authorization: Bearer <key>` with a key of your organization.',
  ),
  INVALID_SIGNATURE: failure(
    401,
    'The signature of the request is missing or not valid',
    'The key takes signed requests only; X-Signature is missing, older than 5 minutes, or was made over something else than what arrived.',
    'Sign time, method, path and body with the signing secret of the key, with a clock that is right.',
  ),
  MISSING_SCOPE: failure(
    403,
    'The API key lacks the scope of this route',
    'The key is good, and none of its scopes covers the one that this route needs.',
    'Use a key with the scope that the detail names.',
  ),
  SCOPE_NOT_GRANTABLE: failure(
    403,
    'A key can only grant what it holds itself',
    'The request asks for a key with a scope, or in a world, that the calling key does not have itself.',
    'Ask for scopes that the calling key holds.',
  ),
  KEY_NOT_GRANTABLE: failure(
    403,
    'A key makes none that is bound less than itself',
    'The calling key expires, and the new one would outlive it; or the calling key takes signed requests only, and the new one would take others; or the calling key has ended meanwhile.',
    'Ask for a key that ends with the calling key or before it, and that must sign where the calling key must; or call with a key that is not bound.',
  ),
  SECRET_KEY_IN_BROWSER: failure(
    403,
    'A secret key was sent from a web page',
    'The request comes from a page of an allowed origin (CORS), and its key is a secret one: whoever reads the page has the key.',
    'Revoke the key, since it must be taken for known to everyone. Use a publishable key in pages, and send what needs more through a server of your own.',
  ),
  NOT_FOUND: failure(
    404,
    'There is no such route',
    'No route has this path, or an id in it is longer than any id can be.',
    'Check the path.',
  ),
  ...resourcesNotFound,
  QUOTE_LINK_NOT_FOUND: failure(
    404,
    'There is no such quote',
    'No quote was sent with this link.',
    'Use the whole link, as it was sent to you.',
  ),
  SUBSCRIPTION_CHANGE_NOT_FOUND: failure(
    404,
    'There is no such change of the subscription',
    'The subscription is there, and its ledger has no change of this id.',
    'Use an id that GET /v1/subscriptions/{id}/changes lists.',
  ),
  PLAN_VERSION_NOT_FOUND: failure(
    404,
    'There is no such version of the plan',
    'The plan is there, and has no version of this number.',
    'Use a version_number that GET /v1/plans/{id}/versions lists.',
  ),
  COST_BOOK_VERSION_NOT_FOUND: failure(
    404,
    'There is no such version of the cost book',
    'The cost book is there, and has no version of this number.',
    'Use a version_number that GET /v1/cost-books/{id}/versions lists.',
  ),
  INVOICE_LINE_NOT_FOUND: failure(
    404,
    'There is no such invoice line',
    'The invoice has no line at this position, or one that charges for no billing period.',
    'Use the position of one of the lines of the invoice.',
  ),
  CREDIT_NOTE_LINE_NOT_FOUND: failure(
    404,
    'There is no such line of the credit note',
    'The credit note has no line at this position.',
    'Use the position of one of the lines of the credit note, which is not that of the line of the invoice.',
  ),
  RATED_LINE_NOT_FOUND: failure(
    404,
    'There is no such rated line',
    'No rated line of your organization has this id; rated lines of others answer the same.',
    'Use the id in the explanation of an invoice line.',
  ),
  BILLING_RUN_NOT_FOUND: failure(
    404,
    'There is no such billing run',
    'No billing run of your organization has this id; runs of others answer the same.',
    'Use the id that POST /v1/invoices/run answered.',
  ),
  RATING_RUN_NOT_FOUND: failure(
    404,
    'There is no such rating run',
    'No rating run of your organization has this id; runs of others answer the same, and billing runs too.',
    'Use an id that POST /v1/rating-runs answered.',
  ),
  EVENT_NOT_FOUND: failure(
    404,
    'There is no such event',
    'No event of your organization is stored under this idempotency key; events of others answer the same.',
    'Use the key under which an event was accepted. One that was accepted a moment ago can be found within seconds: ask again, and amend it with another Idempotency-Key.',
  ),
  AMENDMENT_NOT_FOUND: failure(
    404,
    'There is no such amendment',
    'No amendment of your organization has this id; amendments of others answer the same.',
    'Use an id that POST /v1/events/amendments answered.',
  ),
  METHOD_NOT_ALLOWED: failure(
    405,
    'The route has no such method',
    'The path is one of ours, and the method is none that it has.',
    'Use a method that the header Allow names.',
  ),
  REQUEST_TIMEOUT: failure(
    408,
    'The request took too long to arrive',
    'The headers or the body did not arrive within the time that a request may take.',
    'Send it again, in one go; split a large one.',
  ),
  API_KEY_NOT_ACTIVE: failure(
    409,
    'The API key is revoked, expired or was rotated already',
    'The key has ended, or another one has taken its place; it can be neither rotated nor revoked again.',
    'Create a new key.',
  ),
  IDEMPOTENCY_KEY_IN_USE: failure(
    409,
    'A request with this idempotency key is still being worked on',
    'The first request with this key has not been answered yet; most often a client repeated it too early.',
    'Send the same request again after Retry-After seconds.',
  ),
  ...resourceConflicts,
  PERIOD_NOT_ENDED: failure(
    409,
    'The billing period is still running',
    'A month is closed after its last instant (UTC), and this one goes on.',
    'Close it after its end; events of the period may still arrive.',
  ),
  IDEMPOTENCY_CONFLICT: failure(
    409,
    'The idempotency key was used with another payload',
    'Every event of the request has a key under which another event was taken before.',
    'Send a new event under a new key; the first payload stands.',
  ),
  EVENT_ALREADY_VOID: failure(
    409,
    'The event is void already',
    'An amendment made the event void, and nothing stands under its idempotency key.',
    'Nothing is left to do. To count an event under this key again, replace it.',
  ),
  VERSION_MISMATCH: failure(
    412,
    'The object was changed since it was read',
    'If-Match names a version that the object no longer has: someone else changed it meanwhile.',
    'Read it again, apply your change to what it is now, and send its new ETag in If-Match.',
  ),
  BODY_TOO_LARGE: failure(
    413,
    'The body is larger than the limit',
    'The body has more bytes than one request may have.',
    'Split the request.',
  ),
  TOO_MANY_EVENTS: failure(
    413,
    'The request has more events than the limit',
    'The request has more events than one request may have.',
    'Split the request.',
  ),
  UNSUPPORTED_MEDIA_TYPE: failure(
    415,
    'The content type is not supported',
    'Content-Type or Content-Encoding names a form that this route does not read.',
    'Send a form that the route has in the OpenAPI document; application/json, not compressed, is read everywhere.',
  ),
  VALIDATION_FAILED: failure(
    422,
    'The request has invalid fields',
    'The body is JSON, and a field of it is missing, unknown, or breaks a rule of this route.',
    'Correct the fields that `errors` lists; all of them are listed.',
  ),
  UNUSABLE_AVRO_SCHEMA: failure(
    422,
    'The Avro schema is not one of usage events',
    'The schema in the Avro container is broken, beyond its bounds, or has no fields from which an event can be read.',
    'Write events with the schema of the documentation, or with one that has its fields; the detail names what is wrong.',
  ),
  IDEMPOTENCY_KEY_REUSED: failure(
    422,
    'The idempotency key was used for another request',
    'The key was sent before, within the last 24 hours, with another method, path, query or body, or under an API key that may do more or less: its scopes count, and for the making of API keys whether it expires or must sign.',
    'Send a new request under a new key. Repeat a request with the same method, path and body, under the same API key or one of the same scopes.',
  ),
  EVENTS_REJECTED: failure(
    422,
    'No event of the request was accepted',
    'Every event of the request is invalid, too old or too far ahead.',
    'Correct the events as `results` says and send them again.',
  ),
  RATE_LIMITED: failure(
    429,
    'The organization sends requests faster than its limit',
    'The bucket of tokens of this kind of request is empty; it fills again at the rate of the tier.',
    'Send it again after Retry-After seconds; spread requests out.',
  ),
  QUOTA_EXCEEDED: failure(
    429,
    'The organization has used up its requests of the day',
    'The tier of the organization has a number of requests a day, and they are used up.',
    'Wait for the next day (UTC), or have the tier of the organization raised.',
  ),
  HEADERS_TOO_LARGE: failure(
    431,
    'The request headers are larger than the limit',
    'The headers together are larger, or more, than a request may have.',
    'Send fewer or shorter headers.',
  ),
  INTERNAL_ERROR: failure(
    500,
    'A fault of ours',
    'A bug of ours; it was logged with the request_id.',
    'Try again; if it stays, report the request_id.',
  ),
  DEPENDENCY_UNAVAILABLE: failure(
    503,
    'A part that this request needs is down',
    'A store that this request needs does not answer; the detail names it.',
    'Send the same request again after Retry-After seconds; nothing is counted twice.',
  ),
  EVENTS_NOT_FINAL: failure(
    503,
    'Some events have no final outcome yet',
    'Another request with some of these events is still being worked on.',
    'Send the whole request again, unchanged, after Retry-After seconds; nothing is counted twice.',
  ),
  OVERLOADED: failure(
    503,
    'The server works on as much as it may',
    'The bodies that are being worked on fill the memory that is set aside for them, too many unknown keys came at once, or the process is stopping.',
    'Send the same request again after Retry-After seconds.',
  ),
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

export const toProblem = (
  code: FailureCode,
  requestId: string,
  detail?: string,
  errors: readonly Fault[] = [],
): Problem => ({
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
