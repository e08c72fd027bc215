/** `/v1/cost-books`: what units cost us, by time; plans charge it times a factor. */
import { Type } from 'typebox';
import { entriesNear, readCosts } from '#schemas/cost-book.ts';
import { FailureError, type Fault } from '#schemas/failures.ts';
import { type JsonObject, readObject } from '#schemas/fault.ts';
import {
  CostBookId,
  CostBook as CostBookSchema,
  CostBookVersionParams,
  GivenCostBook,
  CostBookVersionHead as HeadSchema,
  NewCostBook,
  NewCostBookVersionDocument,
  CostBookVersion as VersionSchema,
} from '#schemas/http/cost-books.ts';
import { formatInstant } from '#schemas/instant.ts';
import type { Db, Routes } from '../route/define-route.ts';
import { listJson, listSchema } from '../route/lists.ts';
import { created, found, headToJson, readInstant, refuseFaults, refuseIdForm } from '../route/resource-fields.ts';
import type {
  CostBook,
  CostBookStore,
  CostBookVersion,
  CostBookVersionHead,
  VersionsAround,
} from './cost-books.postgres.ts';

export type CostBookPorts = { readonly costBooks: CostBookStore };

type Named = VersionsAround['next'];

const nameToJson = (version: Named) =>
  version
    ? {
        id: version.id,
        version_number: version.versionNumber,
        effective_from: formatInstant(version.effectiveFrom),
      }
    : null;

const bookToJson = (book: CostBook, around: VersionsAround | undefined) => ({
  id: book.id,
  code: book.code,
  name: book.name,
  dimensions: book.dimensions,
  currency: book.currency,
  version_in_force: nameToJson(around?.inForce),
  next_version: nameToJson(around?.next),
  ...headToJson(book),
});

const headOfVersion = (version: CostBookVersionHead) => ({
  id: version.id,
  cost_book_id: version.costBookId,
  version_number: version.versionNumber,
  effective_from: formatInstant(version.effectiveFrom),
  entry_count: version.entryCount,
  default_cost: version.defaultCost,
  created_at: formatInstant(version.createdAt),
});

const versionToJson = (version: CostBookVersion) => ({ ...headOfVersion(version), entries: version.entries });

/** Throws `VALIDATION_FAILED` with all faults. */
const readVersion = (json: JsonObject, { dimensions }: CostBook) => {
  const faults: Fault[] = [];
  readObject(json, '', ['effective_from', 'entries', 'default_cost'], faults);
  if (json.effective_from === undefined)
    faults.push({ field: 'effective_from', code: 'missing', message: 'must say from when on the costs count' });
  const effectiveFrom = readInstant(json.effective_from, 'effective_from', faults);
  const costs = readCosts(json, dimensions, faults);
  if (effectiveFrom === undefined || !costs || faults.length > 0)
    throw new FailureError('VALIDATION_FAILED', undefined, faults);
  return { effectiveFrom: new Date(effectiveFrom), costs };
};

const nearFaults = (entries: number): Fault[] => {
  const { days, max } = entriesNear;
  const message = `the versions that begin within ${days} days of it would have ${entries} entries in all, and may have ${max}`;
  return entries <= max ? [] : [{ field: 'effective_from', code: 'not_allowed', message }];
};

const tag = 'Cost books';
const url = '/v1/cost-books';
const read = { tag, scope: 'read:cost_books' } as const;
const write = { tag, scope: 'write:cost_books', rateClass: 'write', method: 'POST' } as const;

const readingRoutes = ({ get, list }: Routes, { costBooks }: CostBookPorts): void => {
  const bookOf = async (db: Db, id: string): Promise<CostBook> =>
    found(await costBooks.costBook(db, id), 'COST_BOOK_NOT_FOUND');
  list(
    {
      ...read,
      url,
      operation: 'listCostBooks',
      summary: 'List cost books',
      list: costBooks.costBookList,
      answers: { 200: listSchema(CostBookSchema) },
      failures: [],
    },
    async ({ db, query, nowMs }) => {
      const books = await costBooks.costBooks(db, query);
      const ids = books.rows.map(({ id }) => id);
      const around = await costBooks.versionsAround(db, ids, new Date(nowMs));
      return listJson(query, books, (book) => bookToJson(book, around.get(book.id)));
    },
  );
  get(
    {
      ...read,
      url: `${url}/:id`,
      operation: 'getCostBook',
      summary: 'Read a cost book by id or code, with its version in force and the next',
      params: CostBookId,
      changesByItself: true,
      answers: { 200: CostBookSchema },
      failures: ['COST_BOOK_NOT_FOUND'],
    },
    async ({ db, params, nowMs }) => {
      const book = await bookOf(db, params.id);
      return bookToJson(book, (await costBooks.versionsAround(db, [book.id], new Date(nowMs))).get(book.id));
    },
  );
  list(
    {
      ...read,
      url: `${url}/:id/versions`,
      operation: 'listCostBookVersions',
      summary: 'List the versions of a cost book, without their entries',
      params: CostBookId,
      list: costBooks.costBookVersionList,
      answers: { 200: listSchema(HeadSchema) },
      failures: ['COST_BOOK_NOT_FOUND'],
    },
    async ({ db, params, query }) => {
      const { id } = await bookOf(db, params.id);
      return listJson(query, await costBooks.costBookVersions(db, id, query), headOfVersion);
    },
  );
  get(
    {
      ...read,
      url: `${url}/:id/versions/:version_number`,
      operation: 'getCostBookVersion',
      summary: 'Read a version of a cost book by its number',
      params: CostBookVersionParams,
      answers: { 200: VersionSchema },
      failures: ['COST_BOOK_NOT_FOUND', 'COST_BOOK_VERSION_NOT_FOUND'],
    },
    async ({ db, params: { id: idOrCode, version_number: number } }) => {
      const { id } = await bookOf(db, idOrCode);
      return versionToJson(
        found(await costBooks.costBookVersion(db, id, Number(number)), 'COST_BOOK_VERSION_NOT_FOUND'),
      );
    },
  );
};

export const costBookRoutes = (routes: Routes, ports: CostBookPorts): void => {
  const { change } = routes;
  const { costBooks } = ports;
  change(
    {
      ...write,
      url,
      operation: 'createCostBook',
      summary: 'Create a cost book, which says nothing yet',
      body: GivenCostBook,
      documentedBody: NewCostBook,
      answers: { 201: CostBookSchema },
      failures: ['COST_BOOK_ALREADY_EXISTS'],
    },
    async ({ db, body, nowMs }) => {
      refuseIdForm(body.code, 'code');
      const book = { ...body, metadata: body.metadata ?? {} };
      const added = found(await costBooks.addCostBook(db, book, new Date(nowMs)), 'COST_BOOK_ALREADY_EXISTS');
      return created('cost_book', url, bookToJson(added, undefined));
    },
  );
  readingRoutes(routes, ports);
  // What a version says is read by its own reader, which names every fault at its place.
  change(
    {
      ...write,
      url: `${url}/:id/versions`,
      operation: 'createCostBookVersion',
      summary: 'Add what a cost book says from an instant on; plans that refer to it charge it from then on',
      params: CostBookId,
      body: Type.Object({}),
      documentedBody: NewCostBookVersionDocument,
      answers: { 201: VersionSchema },
      failures: ['COST_BOOK_NOT_FOUND'],
    },
    async ({ db, params, body, nowMs }) => {
      const book = found(await costBooks.lockCostBook(db, params.id), 'COST_BOOK_NOT_FOUND');
      const { effectiveFrom, costs } = readVersion(body as JsonObject, book);
      const near = await costBooks.entriesNear(db, book.id, effectiveFrom, entriesNear.days);
      refuseFaults(nearFaults(near + costs.entries.length));
      const version = await costBooks.addCostBookVersion(db, book.id, costs, effectiveFrom, new Date(nowMs));
      const after = versionToJson(version);
      return {
        status: 201,
        body: after,
        location: `${url}/${book.id}/versions/${version.versionNumber}`,
        changes: [
          {
            action: 'cost_book_version.created',
            objectType: 'cost_book_version',
            objectId: version.id,
            after,
          },
        ],
      };
    },
  );
};
