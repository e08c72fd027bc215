/** The engine for taxes over HTTP: one POST an invoice. */
import { UnavailableError } from '#platform/stores/retry.ts';
import { engineAnswerFromJson, engineRequestToJson, type TaxEngine } from './tax-engine.ts';

export type EngineOptions = {
  /** Empty where there is none. */
  readonly url: string;
  /** Sent as a bearer token; none where it is empty. */
  readonly key: string;
  readonly timeoutMs: number;
};

/** An invoice of ten thousand lines with some taxes each has about ten million. */
const answerBytesMax = 32 * 1024 * 1024;

const isPassingStatus = (status: number): boolean =>
  status >= 500 || status === 408 || status === 409 || status === 429;

/** Undefined where it is too long. */
const readText = async (response: Response): Promise<string | undefined> => {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > answerBytesMax) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
};

const readJson = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error("the tax engine's answer is no JSON", { cause: error });
  }
};

/** The time covers the whole answer; redirects are not followed, as the request has a key. */
const post = async (options: EngineOptions, idempotencyKey: string, body: string) => {
  try {
    const response = await fetch(options.url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'idempotency-key': idempotencyKey,
        ...(options.key && { authorization: `Bearer ${options.key}` }),
      },
      body,
      redirect: 'error',
      signal: AbortSignal.timeout(options.timeoutMs),
    });
    return { status: response.status, text: await readText(response) };
  } catch (error) {
    throw new UnavailableError('tax_engine', error);
  }
};

export const createTaxEngine =
  (options: EngineOptions): TaxEngine =>
  async (request) => {
    if (options.url === '') throw new UnavailableError('tax_engine', new Error('MILLRACE_TAX_ENGINE_URL is not set'));
    const { status, text } = await post(options, request.idempotencyKey, JSON.stringify(engineRequestToJson(request)));
    if (isPassingStatus(status)) throw new UnavailableError('tax_engine', new Error(`it answered ${status}`));
    if (status !== 200) throw new Error(`the tax engine refused an invoice of ${request.customerId}: ${status}`);
    if (text === undefined) throw new Error(`the tax engine answered more than ${answerBytesMax} bytes`);
    return engineAnswerFromJson(readJson(text), request);
  };
