/**
 * What a JSON schema refuses, in the words and the form of our faults: a dotted field, a stable code, and a message
 * that says what is expected.
 */
import type { FastifyError } from 'fastify';
import { type Fault, FaultCode, unknownFieldMessage } from '#schemas/fault.ts';

/**
 * Ajv's keywords as the codes of schemas/fault.ts; a keyword that is not here stands for itself, in lower snake case.
 */
const keywordCodes: Record<string, FaultCode> = {
  required: FaultCode.missing,
  additionalProperties: FaultCode.unknownField,
  type: FaultCode.wrongType,
  enum: FaultCode.notAllowed,
  const: FaultCode.notAllowed,
  minLength: FaultCode.wrongLength,
  maxLength: FaultCode.wrongLength,
  minItems: FaultCode.wrongLength,
  maxItems: FaultCode.wrongLength,
  pattern: FaultCode.wrongFormat,
  format: FaultCode.wrongFormat,
};

const codeOfKeyword = (keyword: string): string =>
  keywordCodes[keyword] ?? keyword.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** Annotations of our schemas, which judge nothing: the form of a text, and of the names of an object, in words. */
const annotations = ['x-expected', 'x-expected-names'] as const;

/** What Ajv is told: nothing is coerced or taken away, and a fault holds the schema that refused. */
export const validatorOptions = {
  allErrors: true,
  coerceTypes: false,
  removeAdditional: false,
  useDefaults: true,
  verbose: true,
  keywords: [...annotations],
};

/** An answer must not be much larger than its request: of more faults the first are told. */
const faultsMax = 100;
const fieldCharactersMax = 300;

type SchemaFault = NonNullable<FastifyError['validation']>[number] & {
  readonly parentSchema?: {
    readonly properties?: object;
    readonly patternProperties?: object;
    readonly 'x-expected'?: string;
    readonly 'x-expected-names'?: string;
  };
};

/** An answer is no list of all currencies. */
const valuesToldMax = 20;

const oneOf = (values: readonly unknown[]): string =>
  values.length > valuesToldMax ? 'one of the values that the documents list' : `one of ${values.join(', ')}`;

const messageOf = ({ keyword, message, params, parentSchema = {} }: SchemaFault): string => {
  const expected = parentSchema['x-expected'];
  switch (keyword) {
    case 'pattern':
      return `must be ${expected ?? 'of the form that the documents describe'}`;
    case 'format':
      return `must be ${expected ?? `a ${(params as { format: string }).format}`}`;
    case 'additionalProperties':
      return parentSchema.patternProperties
        ? `is not a name that may stand here: names are ${parentSchema['x-expected-names'] ?? 'of the form that the documents describe'}`
        : unknownFieldMessage(Object.keys(parentSchema.properties ?? {}));
    case 'enum':
      return `must be ${expected ?? oneOf((params as { allowedValues: readonly unknown[] }).allowedValues)}`;
    case 'uniqueItems': {
      const { i, j } = params as { i: number; j: number };
      return `must not hold anything twice: [${Math.max(i, j)}] is [${Math.min(i, j)}] again`;
    }
    case 'minProperties':
      return `must have at least ${(params as { limit: number }).limit} of its fields`;
    default:
      return message ?? 'is not valid';
  }
};

const fieldOf = ({ instancePath, params }: SchemaFault, whole: string): string => {
  const { missingProperty: missing, additionalProperty: extra } = params as {
    missingProperty?: string;
    additionalProperty?: string;
  };
  const names = instancePath.split('/').slice(1);
  const path = [...names, ...(missing ? [missing] : []), ...(extra ? [extra] : [])];
  const field = path.map((part) => (/^\d+$/.test(part) ? `[${part}]` : `.${part}`)).join('');
  return field.replace(/^\./, '').slice(0, fieldCharactersMax) || whole;
};

const isNullFault = ({ keyword, params }: SchemaFault): boolean =>
  keyword === 'type' && (params as { type?: unknown }).type === 'null';

/** Of a field that may also be null, or one of several forms: that it is none of them is said by what each lacks. */
const isSaidElsewhere = (fault: SchemaFault, all: readonly SchemaFault[]): boolean => {
  if (!isNullFault(fault) && fault.keyword !== 'anyOf') return false;
  return all.some(
    (other) =>
      other !== fault &&
      other.keyword !== 'anyOf' &&
      other.instancePath.startsWith(fault.instancePath) &&
      !isNullFault(other),
  );
};

export const validationFaults = (error: FastifyError): Fault[] => {
  // Each of so many is held against the others.
  const all = ((error.validation ?? []) as SchemaFault[]).slice(0, 3 * faultsMax);
  const faults = all
    .filter((fault) => !isSaidElsewhere(fault, all))
    .map((fault) => ({
      field: fieldOf(fault, error.validationContext ?? 'body'),
      code: codeOfKeyword(fault.keyword),
      message: messageOf(fault),
    }));
  const isFirst = (fault: Fault, index: number): boolean =>
    faults.findIndex((one) => one.field === fault.field && one.code === fault.code && one.message === fault.message) ===
    index;
  return faults.filter(isFirst).slice(0, faultsMax);
};
