/**
 * Holds answers against an OpenAPI document: a status, a header, a media type or a field that the document does not
 * know is a violation, and so is an instant that is not written as all are.
 */
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { instantPattern } from '#schemas/instant.ts';

export type Answered = {
  readonly method: string;
  /** With its query, if any. */
  readonly path: string;
  readonly status: number;
  readonly headers: Headers;
  /** JSON as a value, anything else as text. */
  readonly body: unknown;
};

type Json = { readonly [name: string]: unknown };
type Reference = { readonly $ref?: string };
type Header = Reference & { readonly required?: boolean; readonly schema: { readonly type?: string } };
type Response = Reference & {
  readonly headers?: Readonly<Record<string, Header>>;
  readonly content?: Readonly<Record<string, Json>>;
};
type Operation = { readonly responses: Readonly<Record<string, Response>> };
export type Document = Json & { readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>> };

export type Contract = {
  /** What is wrong with the answer; empty where nothing is. */
  readonly violations: (answered: Answered) => string[];
};

const pointer = (...parts: readonly string[]): string =>
  parts.map((part) => `/${part.replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');

/** The document's path that fits; the one that says most of it goes first. */
const createTemplateOf = (document: Document): ((path: string) => string | undefined) => {
  const literal = (template: string): number => template.replaceAll(/\{[^}]+\}/g, '').length;
  const templates = Object.keys(document.paths)
    .toSorted((a, b) => literal(b) - literal(a))
    .map((template) => {
      const pattern = template.replaceAll(/[.*+?^$()|[\]\\]/g, '\\$&').replaceAll(/\{[^}]+\}/g, '[^/]+');
      return { template, pattern: new RegExp(`^${pattern}$`) };
    });
  return (path) =>
    Object.hasOwn(document.paths, path) ? path : templates.find(({ pattern }) => pattern.test(path))?.template;
};

const instantLike = /^\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)$/i;
const oneForm = new RegExp(instantPattern);
/** What is the caller's own, and may hold any text. */
const callersOwn = ['properties', 'metadata', 'group'];
/** What of an invoice, or of a part of one, is as it was hashed, for good. */
const asHashed = ['issued_at', 'due_at', 'period', 'periods', 'lines'];

/** Instants that are not written as all are, whatever a schema says of their place. */
const instantFaults = (value: unknown, place: string): string[] => {
  if (typeof value === 'string')
    return instantLike.test(value) && !oneForm.test(value) ? [`${place} writes an instant as ${value}`] : [];
  if (typeof value !== 'object' || value === null) return [];
  const isInvoice =
    ('previous_hash' in value && 'tenant' in value) ||
    'invoice_hash' in value ||
    ('periods' in value && ('invoice_id' in value || 'due_at' in value));
  const ofLine = 'service_period' in value && 'precise_amount' in value ? ['service_period'] : [];
  const skipped = [...callersOwn, ...(isInvoice ? asHashed : ofLine)];
  return Object.entries(value).flatMap(([name, inner]) =>
    skipped.includes(name) ? [] : instantFaults(inner, `${place}/${name}`),
  );
};

export const createContract = (document: Document): Contract => {
  const ajv = new Ajv2020({ strict: false, allErrors: true, validateSchema: false });
  addFormats.default(ajv);
  ajv.addSchema(document, 'document');
  const templateOf = createTemplateOf(document);
  const compiled = new Map<string, ValidateFunction>();
  const validatorAt = (place: string): ValidateFunction => {
    const validate = compiled.get(place) ?? ajv.compile({ $ref: `document#${encodeURI(place)}` });
    compiled.set(place, validate);
    return validate;
  };
  const faultsAt = (place: string, value: unknown, name: string): string[] => {
    const validate = validatorAt(place);
    if (validate(value)) return [];
    return (validate.errors ?? []).map(
      ({ instancePath, message, params }) => `${name}${instancePath} ${message} ${JSON.stringify(params)}`,
    );
  };
  /** The thing itself and its place, where a reference may stand. */
  const resolved = <T extends Reference>(thing: T, place: string): { readonly thing: T; readonly place: string } => {
    if (thing.$ref === undefined) return { thing, place };
    const target = thing.$ref.slice(1);
    const value = target
      .split('/')
      .slice(1)
      .reduce<unknown>((inner, part) => (inner as Json)[part], document);
    return { thing: value as T, place: target };
  };

  const headerFaults = (given: Response, at: string, headers: Headers): string[] =>
    Object.entries(given.headers ?? {}).flatMap(([name, header]) => {
      const { thing, place } = resolved(header, `${at}${pointer('headers', name)}`);
      const text = headers.get(name);
      if (text === null) return thing.required ? [`the header ${name} is missing`] : [];
      const value = thing.schema.type === 'integer' && /^\d+$/.test(text) ? Number(text) : text;
      return faultsAt(`${place}/schema`, value, `the header ${name}`);
    });

  const bodyFaults = (given: Response, at: string, { headers, body }: Answered): string[] => {
    const type = (headers.get('content-type') ?? '').split(';')[0] as string;
    if (given.content === undefined) return body === '' ? [] : ['there is a body'];
    if (given.content[type] === undefined)
      return [`the media type ${type || '(none)'} is none of ${Object.keys(given.content).join(', ')}`];
    return faultsAt(`${at}${pointer('content', type, 'schema')}`, body, 'the body');
  };

  /** HEAD is answered as GET is, but for the body. */
  const headFaults = (answered: Answered): string[] => (answered.body === '' ? [] : ['there is a body']);

  const problemFaults = ({ method, status, headers, body }: Answered, expected: number): string[] => [
    ...(status === expected ? [] : [`the status is not ${expected}`]),
    ...(headers.get('content-type')?.startsWith('application/problem+json') ? [] : ['it is no problem document']),
    ...(method === 'HEAD' ? [] : faultsAt('/components/schemas/Problem', body, 'the body')),
  ];

  return {
    violations: (answered) => {
      const [path = ''] = answered.path.split('?');
      const template = templateOf(path);
      if (template === undefined) return problemFaults(answered, 404);
      if (answered.method === 'OPTIONS')
        return answered.status === 204 && answered.headers.has('allow')
          ? headFaults(answered)
          : ['it does not say the methods there are'];
      const isHead = answered.method === 'HEAD';
      const method = isHead ? 'get' : answered.method.toLowerCase();
      const operation = document.paths[template]?.[method];
      if (!operation) return problemFaults(answered, 405);
      const response = operation.responses[answered.status];
      if (!response) return [`the status is none of ${Object.keys(operation.responses).join(', ')}`];
      const { thing, place } = resolved(
        response,
        pointer('paths', template, method, 'responses', String(answered.status)),
      );
      return [
        ...headerFaults(thing, place, answered.headers),
        ...(isHead
          ? headFaults(answered)
          : [
              ...bodyFaults(thing, place, answered),
              ...(path === '/openapi.json' ? [] : instantFaults(answered.body, 'the body')),
            ]),
      ];
    },
  };
};

/** Throws where the answer is not what the document says. */
export const expectContract = (contract: Contract, answered: Answered): void => {
  const violations = contract.violations(answered);
  if (violations.length === 0) return;
  const { method, path, status, body } = answered;
  throw new Error(
    `${method} ${path} answered ${status}, which is not what the OpenAPI document says:\n${violations.map((one) => `  - ${one}`).join('\n')}\n${JSON.stringify(body)?.slice(0, 2000)}`,
  );
};

export const fetchDocumentText = async (base: string): Promise<string> =>
  (await fetch(new URL('/openapi.json', base))).text();

/** The document of a running process. */
export const fetchDocument = async (base: string): Promise<Document> =>
  JSON.parse(await fetchDocumentText(base)) as Document;
