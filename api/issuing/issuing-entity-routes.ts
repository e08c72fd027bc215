/** `/v1/issuing-entities`: who issues invoices, and how their numbers are written. */
import type { Static } from 'typebox';
import { FailureError } from '#schemas/failures.ts';
import {
  type GivenNumberFormat,
  IssuingEntityId,
  IssuingEntityPatch,
  IssuingEntity as IssuingEntitySchema,
  NewIssuingEntity,
} from '#schemas/http/issuing-entities.ts';
import { formatInstant } from '#schemas/instant.ts';
import { creditNoteFormat } from '#schemas/issuing-entity.ts';
import { defaultNumberFormat, type NumberFormat } from '#schemas/number-format.ts';
import { timeZoneFault, timeZoneFromText } from '#schemas/time-zone.ts';
import type { Db, Routes } from '../route/define-route.ts';
import { listJson, listSchema } from '../route/lists.ts';
import { created, found, headToJson, refuseFaults, updated } from '../route/resource-fields.ts';
import type { EntityContent, IssuingEntity, IssuingEntityStore } from './issuing-entities.postgres.ts';
import { taxIdFaults } from './tax-ids.ts';

export type IssuingEntityPorts = { readonly issuingEntities: IssuingEntityStore };

const formatToJson = ({ prefix, includesYear, padding, reset }: NumberFormat) => ({
  prefix,
  include_year: includesYear,
  padding,
  reset,
});

const entityJson = (entity: IssuingEntity) => ({
  id: entity.id,
  legal_name: entity.legalName,
  address: entity.address,
  tax_ids: entity.taxIds,
  time_zone: entity.timeZone,
  number_format: formatToJson(entity.numberFormat),
  credit_note_prefix: creditNoteFormat(entity).format.prefix,
  archived_at: entity.archivedAt === null ? null : formatInstant(entity.archivedAt),
  ...headToJson(entity),
});

const formatOf = (given: GivenNumberFormat, stands: NumberFormat): NumberFormat => ({
  prefix: given.prefix ?? stands.prefix,
  includesYear: given.include_year ?? stands.includesYear,
  padding: given.padding ?? stands.padding,
  reset: given.reset ?? stands.reset,
});

type Given = Static<typeof IssuingEntityPatch>;

const newContent: Omit<EntityContent, 'legalName'> = {
  address: null,
  taxIds: [],
  timeZone: 'UTC',
  numberFormat: defaultNumberFormat,
  creditNotePrefix: null,
  archivedAt: null,
  metadata: {},
};

/** What is given over what stands; refuses what is at fault. */
const readGiven = (given: Given, stands: EntityContent, nowMs: number): EntityContent => {
  const { time_zone: zone, tax_ids: taxIds = stands.taxIds, credit_note_prefix: prefix, archived } = given;
  const timeZone = zone === undefined ? stands.timeZone : timeZoneFromText(zone);
  const numberFormat = formatOf(given.number_format ?? {}, stands.numberFormat);
  const isUnnamedYear = numberFormat.reset === 'yearly' && !numberFormat.includesYear;
  refuseFaults([
    ...(timeZone === undefined ? [timeZoneFault('time_zone')] : []),
    ...taxIdFaults(taxIds, 'tax_ids'),
    ...(isUnnamedYear
      ? [
          {
            field: 'number_format.reset',
            code: 'not_allowed',
            message: 'must be never where the year is left out: numbers that begin again would be given twice',
          },
        ]
      : []),
    ...(prefix === numberFormat.prefix
      ? [{ field: 'credit_note_prefix', code: 'not_allowed', message: 'must be another one than that of invoices' }]
      : []),
  ]);
  return {
    legalName: given.legal_name ?? stands.legalName,
    address: given.address === undefined ? stands.address : given.address,
    taxIds,
    timeZone: timeZone ?? stands.timeZone,
    numberFormat,
    creditNotePrefix: prefix === undefined ? stands.creditNotePrefix : prefix,
    archivedAt: archived === undefined ? stands.archivedAt : archived ? (stands.archivedAt ?? nowMs) : null,
    metadata: given.metadata ?? stands.metadata,
  };
};

/** Those that are taken stay those of whoever has them; what an entity has already is not asked again. */
const refuseTaken = async (
  { issuingEntities }: IssuingEntityPorts,
  db: Db,
  content: EntityContent,
  stands?: IssuingEntity,
): Promise<void> => {
  const prefixesOf = (entity: EntityContent) => ({
    invoices: entity.numberFormat.prefix,
    creditNotes: creditNoteFormat(entity).format.prefix,
  });
  const [before, after] = [stands && prefixesOf(stands), prefixesOf(content)];
  const taken = await issuingEntities.takenPrefixes(db, after, stands?.id ?? null);
  if (taken.some((kind) => before?.[kind] !== after[kind])) throw new FailureError('NUMBERING_PREFIX_TAKEN');
};

/** The id of one that may be named: it is there, and issues. Kept as it is until the transaction ends. */
export const namedEntity = async (
  { issuingEntities }: IssuingEntityPorts,
  db: Db,
  id: string | null,
): Promise<string | null> => {
  if (id === null) return null;
  const entity = await issuingEntities.entity(db, id, 'keep');
  const refuse = (code: string, message: string) => refuseFaults([{ field: 'issuing_entity_id', code, message }]);
  if (entity === undefined) refuse('not_found', 'there is no issuing entity with this id');
  else if (entity.archivedAt !== null) refuse('not_allowed', 'must not be archived');
  return id;
};

const tag = 'Issuing entities';
const url = '/v1/issuing-entities';
const read = { tag, scope: 'read:issuing_entities' } as const;
const write = { tag, scope: 'write:issuing_entities', rateClass: 'write' } as const;

export const issuingEntityRoutes = ({ get, list, change }: Routes, { issuingEntities }: IssuingEntityPorts): void => {
  change(
    {
      ...write,
      method: 'POST',
      url,
      operation: 'createIssuingEntity',
      summary: 'Make an entity that issues invoices',
      body: NewIssuingEntity,
      answers: { 201: IssuingEntitySchema },
      failures: ['NUMBERING_PREFIX_TAKEN'],
    },
    async ({ db, body, nowMs }) => {
      const content = readGiven(body, { ...newContent, legalName: body.legal_name }, nowMs);
      await refuseTaken({ issuingEntities }, db, content);
      const added = await issuingEntities.addEntity(db, content, new Date(nowMs));
      return created('issuing_entity', url, entityJson(found(added, 'NUMBERING_PREFIX_TAKEN')));
    },
  );

  list(
    {
      ...read,
      url,
      operation: 'listIssuingEntities',
      summary: 'List entities that issue invoices',
      list: issuingEntities.entityList,
      answers: { 200: listSchema(IssuingEntitySchema) },
      failures: [],
    },
    async ({ db, query }) => listJson(query, await issuingEntities.entities(db, query), entityJson),
  );

  get(
    {
      ...read,
      url: `${url}/:id`,
      operation: 'getIssuingEntity',
      summary: 'Read an entity that issues invoices',
      params: IssuingEntityId,
      answers: { 200: IssuingEntitySchema },
      failures: ['ISSUING_ENTITY_NOT_FOUND'],
    },
    async ({ db, params }) =>
      entityJson(found(await issuingEntities.entity(db, params.id), 'ISSUING_ENTITY_NOT_FOUND')),
  );

  change(
    {
      ...write,
      method: 'PATCH',
      url: `${url}/:id`,
      operation: 'updateIssuingEntity',
      summary: 'Change an entity that issues invoices, or archive it',
      params: IssuingEntityId,
      body: IssuingEntityPatch,
      answers: { 200: IssuingEntitySchema },
      failures: ['ISSUING_ENTITY_NOT_FOUND', 'ISSUING_ENTITY_IN_USE', 'NUMBERING_PREFIX_TAKEN'],
    },
    async ({ db, params, body, nowMs, matchVersion }) => {
      const entity = found(await issuingEntities.entity(db, params.id, 'lock'), 'ISSUING_ENTITY_NOT_FOUND');
      matchVersion(entity.version);
      const content = readGiven(body, entity, nowMs);
      if (content.archivedAt !== null && (await issuingEntities.isIssuing(db, entity.id)))
        throw new FailureError('ISSUING_ENTITY_IN_USE');
      await refuseTaken({ issuingEntities }, db, content, entity);
      const after = await issuingEntities.changeEntity(db, entity.id, content, new Date(nowMs));
      return updated('issuing_entity', entityJson(entity), entityJson(after));
    },
  );
};
