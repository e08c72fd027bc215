/** `/v1/organization`: the one of the key that calls. */
import { OrganizationPatch, Organization as OrganizationSchema } from '#schemas/http/organization.ts';
import { type IssuingEntityPorts, namedEntity } from '../issuing/issuing-entity-routes.ts';
import type { Routes } from '../route/define-route.ts';
import { readMinimumAmounts } from '../route/minimum-amounts.ts';
import { headToJson, updated } from '../route/resource-fields.ts';
import type { Organization, OrganizationStore } from './organization.postgres.ts';

export type OrganizationPorts = IssuingEntityPorts & { readonly organizations: OrganizationStore };

const organizationJson = (organization: Organization) => ({
  id: organization.id,
  name: organization.name,
  tier: organization.tier,
  rounding: organization.rounding,
  tax_rounding: organization.taxRounding,
  tax_calculation: organization.taxCalculation,
  closing: { automatic: organization.closing.automatic, grace_minutes: organization.closing.graceMinutes },
  invoicing: { draft_minutes: organization.invoicing.draftMinutes },
  issuing_entity_id: organization.issuingEntityId,
  payment_terms: organization.paymentDays === null ? null : { days: organization.paymentDays },
  minimum_invoice_amounts: organization.minimumAmounts,
  ...headToJson(organization),
});

export const organizationRoutes = ({ get, change }: Routes, ports: OrganizationPorts): void => {
  const { organizations } = ports;
  const tag = 'Organization';

  get(
    {
      url: '/v1/organization',
      operation: 'getOrganization',
      tag,
      summary: 'Read the organization of the key, with its settings',
      scope: 'read:organization',
      answers: { 200: OrganizationSchema },
      failures: [],
    },
    async ({ db }) => organizationJson(await organizations.organization(db)),
  );

  change(
    {
      method: 'PATCH',
      url: '/v1/organization',
      operation: 'updateOrganization',
      tag,
      summary: 'Change the name and the settings of the organization',
      scope: 'write:organization',
      rateClass: 'sensitive',
      body: OrganizationPatch,
      answers: { 200: OrganizationSchema },
      failures: [],
    },
    async ({ db, body, nowMs, matchVersion }) => {
      const before = await organizations.organization(db, 'lock');
      matchVersion(before.version);
      const { name = before.name, rounding = before.rounding, metadata = before.metadata } = body;
      const { automatic = before.closing.automatic, grace_minutes: graceMinutes = before.closing.graceMinutes } =
        body.closing ?? {};
      const { draft_minutes: draftMinutes = before.invoicing.draftMinutes } = body.invoicing ?? {};
      const {
        tax_rounding: taxRounding = before.taxRounding,
        tax_calculation: taxCalculation = before.taxCalculation,
      } = body;
      const { issuing_entity_id: named, payment_terms: terms } = body;
      const issuingEntityId = named === undefined ? before.issuingEntityId : await namedEntity(ports, db, named);
      const paymentDays = terms === undefined ? before.paymentDays : (terms?.days ?? null);
      const closing = { automatic, graceMinutes };
      const { minimum_invoice_amounts: minimums } = body;
      const minimumAmounts = minimums === undefined ? before.minimumAmounts : readMinimumAmounts(minimums);
      const invoicing = { draftMinutes };
      const ofInvoices = { taxRounding, taxCalculation, issuingEntityId, paymentDays, minimumAmounts, invoicing };
      const settings = { name, rounding, closing, metadata, ...ofInvoices };
      const after = await organizations.changeOrganization(db, settings, new Date(nowMs));
      return updated('organization', organizationJson(before), organizationJson(after));
    },
  );
};
