import { describe, expect, it } from 'vitest';
import { auditedObjects } from '#schemas/audited-objects.ts';
import { failures } from '#schemas/failures.ts';
import { scopes } from '#schemas/http/api-keys.ts';
import { idPrefixes } from '#schemas/ids.ts';
import { resourceConflicts, resourcePrefixes, resources } from '#schemas/resources.ts';

describe('a resource', () => {
  it('has a prefix of three letters that no other kind of object has', () => {
    const prefixes = Object.values(resources).map(({ prefix }) => prefix);
    expect(new Set(prefixes).size).toBe(prefixes.length);
    expect(prefixes.filter((prefix) => !/^[a-z]{3}$/.test(prefix))).toEqual([]);
    // One that another kind had too would be told once.
    for (const [prefix, noun] of Object.entries(resourcePrefixes)) expect(idPrefixes).toMatchObject({ [prefix]: noun });
  });

  it('that is not there, or whose name is taken, is refused in words that follow from its row', () => {
    expect(failures.INVOICE_NOT_FOUND).toEqual({
      status: 404,
      title: 'There is no such invoice',
      cause: 'No invoice of your organization has this id; invoices of others answer the same.',
      cure: 'Use the id of an invoice of your organization.',
    });
    expect(failures.API_KEY_NOT_FOUND.cause).toBe(
      'No key of your organization has this id; keys of others answer the same.',
    );
    expect(failures.METER_NOT_FOUND.cure).toBe('Use the id or the code of a meter of your organization.');
    expect(failures.CUSTOMER_ALREADY_EXISTS).toEqual({
      status: 409,
      title: 'A customer with this external_id exists',
      cause: 'An external_id names one customer of an organization, and this one is taken.',
      cure: 'Read it by its external_id, or choose another.',
    });
    for (const { status } of Object.values(resourceConflicts)) expect(status).toBe(409);
  });

  it('has its scopes among all, in one order', () => {
    expect(scopes).toEqual(scopes.toSorted());
    expect(new Set(scopes).size).toBe(scopes.length);
    for (const scope of ['read:plans', 'write:plans', 'admin:keys', 'write:backfill']) expect(scopes).toContain(scope);
  });

  it('that is one row is digested in the order of its columns', () => {
    const first = [
      ...['id', 'organization_id', 'external_id', 'name', 'metadata', 'personal'],
      ...['version', 'created_at', 'updated_at'],
    ];
    const { columns, earlier = [], children } = auditedObjects.customer;
    const third = [...first, 'currency', 'time_zone'];
    const life = ['language', 'payment_days', 'invoicing', 'parent_id', 'archived_at', 'erased_at', 'test_clock_id'];
    const issuing = ['issuing_entity_id', 'invoice_defaults'];
    const taxes = [
      ...['tax_country', 'tax_state', 'tax_id_countries'],
      ...['tax_treatment', 'tax_exemption_reason', 'tax_rate_ids'],
    ];
    expect(earlier.map((form) => Object.keys(form.columns))).toEqual([
      [...third, ...life, ...issuing, ...taxes, 'minimum_invoice_amounts'],
      [...third, ...life, ...issuing, ...taxes],
      [...third, ...life, ...issuing],
      [...third, ...life],
      third,
      [...first, 'currency'],
      first,
    ]);
    expect(Object.keys(columns)).toEqual([...third, ...life, ...issuing, ...taxes, 'minimum_invoice_amounts']);
    expect([children, ...earlier.map((form) => form.children)].map((rows) => rows.map(({ table }) => table))).toEqual([
      ['customer_aliases'],
      ...earlier.map(() => []),
    ]);
  });
});
