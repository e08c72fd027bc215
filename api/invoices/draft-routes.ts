/** Drafts of invoices: making a one-off one, changing, deleting and finalizing. They are read as invoices are. */
import type { Static } from 'typebox';
import { runAction } from '#schemas/billing-run.ts';
import type { Currency } from '#schemas/currency.ts';
import { FailureError, type Fault } from '#schemas/failures.ts';
import { IdParam, NoContent } from '#schemas/http/fields.ts';
import { NewOneOffInvoice } from '#schemas/http/invoice-drafts.ts';
import { computedOf, InvoicePatch, InvoicePatchBody } from '#schemas/http/invoice-patch.ts';
import { InvoiceHead } from '#schemas/http/invoices.ts';
import type { DraftOverrides } from '#schemas/invoice/draft-overrides.ts';
import type { InvoiceState, InvoiceTerms } from '#schemas/invoice.ts';
import type { Instant } from '#schemas/period.ts';
import { hourOf } from '#schemas/subscription-state.ts';
import { oneOffInvoice } from '../../invoicer/invoices/draft-invoice.ts';
import type { OrganizationStore } from '../access/organization.postgres.ts';
import type { DiscountStore } from '../coupons/discounts.postgres.ts';
import { type ReduceDraftPorts, reduceDraft } from '../coupons/reduce-drafts.ts';
import type { CustomerStore } from '../customers/customers.postgres.ts';
import type { Db, Routes } from '../route/define-route.ts';
import { found, readInstant, refuseFaults } from '../route/resource-fields.ts';
import { type ChangeIssuedPorts, changeIssued } from './change-issued.ts';
import { draftEntry, draftHeadJson, lastingDraft } from './draft-json.ts';
import type { ComputedItems, InvoiceDraft, InvoiceDraftStore } from './drafts.postgres.ts';
import { type FinalizePorts, finalizeAtFault, finalizeDraft, invoiceToChange, openDraft } from './finalize-draft.ts';
import type { PayerTerms } from './payer-terms.postgres.ts';
import { itemsOf } from './write-one-off.ts';

export type InvoiceDraftPorts = FinalizePorts &
  ChangeIssuedPorts &
  ReduceDraftPorts & {
    readonly discounts: Pick<DiscountStore, 'heldDiscounts'>;
    readonly invoiceDrafts: InvoiceDraftStore;
    readonly payerTerms: PayerTerms;
    readonly customers: Pick<CustomerStore, 'payer'>;
    readonly organizations: Pick<OrganizationStore, 'organization'>;
  };

const tag = 'Invoices';
const url = '/v1/invoices';
const write = { tag, scope: 'write:invoices', rateClass: 'write' } as const;

type Said = Pick<Static<typeof InvoicePatch>, 'memo' | 'purchase_order' | 'custom_fields'>;

const overridesOf = ({ memo, purchase_order, custom_fields }: Said): DraftOverrides => ({
  ...(memo === undefined ? {} : { memo }),
  ...(purchase_order === undefined ? {} : { purchase_order }),
  ...(custom_fields === undefined ? {} : { custom_fields }),
});

/** Undefined where nothing is said. */
const readFinalizeAt = (
  asked: string | null | undefined,
  { kind }: Pick<InvoiceDraft, 'kind'>,
  hour: Instant,
  faults: Fault[],
): Instant | null | undefined => {
  const refuse = (code: string, message: string) => faults.push({ field: 'finalize_at', code, message });
  if (asked === null && kind === 'period')
    refuse('not_allowed', 'must be an instant, as what was closed is issued some day');
  if (asked === null || asked === undefined) return asked;
  const at = readInstant(asked, 'finalize_at', faults);
  const fault = at === undefined ? undefined : finalizeAtFault(at, hour);
  if (fault !== undefined) refuse('out_of_range', fault);
  return at;
};

/** Throws `VALIDATION_FAILED`. */
const expectHeld = async (
  { discounts }: Pick<InvoiceDraftPorts, 'discounts'>,
  db: Db,
  customerId: string,
  discountIds: readonly string[],
): Promise<void> => {
  const held = await discounts.heldDiscounts(db, customerId, discountIds);
  const message = 'must be a discount of the customer that is not ended';
  refuseFaults(
    discountIds.flatMap((id, index) =>
      held.has(id) ? [] : [{ field: `discounts[${index}]`, code: 'not_found', message }],
    ),
  );
};

type OneOffParts = Pick<InvoiceDraft, 'customerId' | 'currency' | 'items'> & { readonly terms: InvoiceTerms };

/** What they come to with the discounts that they are to have, and the taxes of now. */
const computeItems = async (
  ports: ReduceDraftPorts,
  db: Db,
  { customerId, currency, terms, items }: OneOffParts,
  discountIds: readonly string[],
  hour: Instant,
): Promise<ComputedItems> => {
  const content = oneOffInvoice({ customerId, currency, terms }, items);
  const { discounts, taxes } = await reduceDraft(ports, db, { draft: content, discountIds, issuedAt: hour }, []);
  return { currency, items, discounts, taxes };
};

const refuseStateOfDraft = (state: InvoiceState): never => {
  throw new FailureError(
    'INVOICE_STATE_CONFLICT',
    `The invoice is a draft and can't become ${state}: POST /v1/invoices/{id}/finalize has it issued.`,
  );
};

/** Of what no request sets, or of issued invoices alone. */
const draftFaults = (body: Static<typeof InvoicePatch>, { kind }: Pick<InvoiceDraft, 'kind'>): Fault[] => [
  ...(body.lines !== undefined && kind === 'period'
    ? [{ field: 'lines', code: 'not_allowed', message: 'are of a one-off invoice: this one bills what was closed' }]
    : []),
  ...computedOf(body).map((field) => ({ field, code: 'not_allowed', message: 'is computed, and set by no request' })),
  ...(body.amount_paid === undefined
    ? []
    : [{ field: 'amount_paid', code: 'not_allowed', message: 'is of an issued invoice: nothing is paid of a draft' }]),
];

export const invoiceDraftRoutes = ({ change }: Routes, ports: InvoiceDraftPorts): void => {
  const { invoiceDrafts, customers, organizations } = ports;
  const termsOf = async (db: Db, customerId: string): Promise<InvoiceTerms> =>
    (await ports.payerTerms(db, [customerId])).get(customerId) as InvoiceTerms;
  const shown = async (db: Db, draft: InvoiceDraft) => {
    const periods = (await invoiceDrafts.draftPeriods(db, [draft.id])).get(draft.id) ?? [];
    return draftHeadJson(draft, db.organizationId, periods, await termsOf(db, draft.customerId));
  };
  const runCreated = (runId: string) => ({
    action: runAction('billing', 'created'),
    objectType: 'billing_run',
    objectId: runId,
  });

  change(
    {
      ...write,
      method: 'POST',
      url,
      operation: 'createInvoice',
      summary: 'Make a one-off invoice, as a draft or to be issued at once',
      body: NewOneOffInvoice,
      answers: { 201: InvoiceHead },
      failures: ['CUSTOMER_NOT_FOUND', 'CUSTOMER_ARCHIVED'],
    },
    async ({ db, body, caller, requestId, nowMs }) => {
      const payer = found(await customers.payer(db, body.customer_id, 'lock'), 'CUSTOMER_NOT_FOUND');
      if (payer.isArchived) throw new FailureError('CUSTOMER_ARCHIVED');
      const hour = payer.clock?.now ?? nowMs;
      const { rounding } = await organizations.organization(db);
      const faults: Fault[] = [];
      const currency = body.currency as Currency;
      const items = itemsOf(body.lines, { currency, rounding, now: hour }, faults);
      const finalizeAt = readFinalizeAt(body.finalize_at, { kind: 'one_off' }, hour, faults) ?? null;
      if (body.finalize === true && finalizeAt !== null)
        faults.push({ field: 'finalize_at', code: 'not_allowed', message: 'must not stand beside finalize' });
      refuseFaults(faults);
      const { id: customerId, clock } = payer;
      const discountIds = body.discounts ?? [];
      await expectHeld(ports, db, customerId, discountIds);
      const terms = await termsOf(db, customerId);
      const draft = {
        ...(await computeItems(ports, db, { customerId, currency, terms, items }, discountIds, hour)),
        customerId,
        finalizeAt,
        overrides: { ...overridesOf(body), ...(body.discounts && { discounts: body.discounts }) },
        metadata: body.metadata ?? {},
      };
      const made = await invoiceDrafts.addOneOff(db, { ...draft, testClockId: clock?.id ?? null }, new Date(nowMs));
      const entry = draftEntry('created', made.id, { after: lastingDraft(made) });
      const location = `${url}/${made.id}`;
      if (body.finalize !== true) return { status: 201, body: await shown(db, made), location, changes: [entry] };
      const asker = { requestId, apiKeyId: caller.keyId };
      const { draft: last, runId } = await finalizeDraft(ports, db, made, asker, hour, new Date(nowMs));
      const finalizing = draftEntry('finalizing', made.id, { before: lastingDraft(made), after: lastingDraft(last) });
      return { status: 201, body: await shown(db, last), location, changes: [entry, finalizing, runCreated(runId)] };
    },
  );

  change(
    {
      ...write,
      method: 'PATCH',
      url: `${url}/:id`,
      operation: 'updateInvoice',
      summary: 'Change what a draft says, or the state of an issued invoice',
      params: IdParam,
      body: InvoicePatchBody,
      documentedBody: InvoicePatch,
      answers: { 200: InvoiceHead },
      failures: ['INVOICE_NOT_FOUND', 'INVOICE_IMMUTABLE', 'INVOICE_STATE_CONFLICT', 'INVOICE_FINALIZING'],
    },
    async ({ db, params, body, nowMs, matchVersion }) => {
      const target = await invoiceToChange(ports, db, params.id);
      if ('issued' in target) {
        matchVersion(target.issued.version);
        return changeIssued(ports, db, params.id, target.issued, body, new Date(nowMs));
      }
      const { draft } = target;
      matchVersion(draft.version);
      if (body.state !== undefined) refuseStateOfDraft(body.state);
      const faults = draftFaults(body, draft);
      const hour = hourOf(draft, nowMs);
      const asked = readFinalizeAt(body.finalize_at, draft, hour, faults);
      const { customerId, currency } = draft;
      const { rounding } = await organizations.organization(db);
      const items = body.lines && itemsOf(body.lines, { currency, rounding, now: hour }, faults);
      refuseFaults(faults);
      const parts = items && { customerId, currency, items, terms: await termsOf(db, customerId) };
      const relined = parts && (await computeItems(ports, db, parts, draft.overrides.discounts ?? [], hour));
      const changed = {
        finalizeAt: asked === undefined ? draft.finalizeAt : asked,
        overrides: { ...draft.overrides, ...overridesOf(body) },
        metadata: body.metadata ?? draft.metadata,
      };
      const after = await invoiceDrafts.changeDraft(db, draft.id, changed, relined, new Date(nowMs));
      const entry = draftEntry('updated', draft.id, { before: lastingDraft(draft), after: lastingDraft(after) });
      return { body: await shown(db, after), changes: [entry] };
    },
  );

  change(
    {
      ...write,
      method: 'DELETE',
      url: `${url}/:id`,
      operation: 'deleteInvoice',
      summary: 'Delete the draft of a one-off invoice',
      params: IdParam,
      answers: { 204: NoContent },
      failures: ['INVOICE_NOT_FOUND', 'INVOICE_IMMUTABLE', 'INVOICE_FINALIZING', 'INVOICE_DRAFT_BILLS_PERIODS'],
    },
    async ({ db, params, nowMs, matchVersion }) => {
      const target = await invoiceToChange(ports, db, params.id);
      if ('issued' in target) throw new FailureError('INVOICE_IMMUTABLE');
      const { draft } = target;
      matchVersion(draft.version);
      if (draft.kind === 'period') throw new FailureError('INVOICE_DRAFT_BILLS_PERIODS');
      await invoiceDrafts.deleteDraft(db, draft.id, new Date(nowMs));
      return {
        status: 204,
        body: undefined,
        changes: [draftEntry('deleted', draft.id, { before: lastingDraft(draft) })],
      };
    },
  );

  change(
    {
      ...write,
      method: 'POST',
      url: `${url}/:id/finalize`,
      operation: 'finalizeInvoice',
      summary: 'Have a draft issued: it is rated anew by a billing run',
      params: IdParam,
      answers: { 202: InvoiceHead },
      failures: ['INVOICE_NOT_FOUND', 'INVOICE_NOT_DRAFT', 'INVOICE_FINALIZING'],
    },
    async ({ db, params, caller, requestId, nowMs, matchVersion }) => {
      const draft = await openDraft(ports, db, params.id);
      matchVersion(draft.version);
      const asker = { requestId, apiKeyId: caller.keyId };
      const { draft: handed, runId } = await finalizeDraft(
        ports,
        db,
        draft,
        asker,
        hourOf(draft, nowMs),
        new Date(nowMs),
      );
      return {
        status: 202,
        body: await shown(db, handed),
        location: `${url}/${draft.id}`,
        changes: [
          draftEntry('finalizing', draft.id, { before: lastingDraft(draft), after: lastingDraft(handed) }),
          runCreated(runId),
        ],
      };
    },
  );
};
