import { Type } from 'typebox';
import { describe, expect, it } from 'vitest';
import { Customer, Personal, WrittenCustomer } from '#schemas/http/customers.ts';
import { toldTo, withholding } from '#schemas/http/withheld.ts';
import { sealedColumns } from '#schemas/sealed-columns.ts';

const nobody = () => false;
const all = () => true;
const customer = {
  id: 'cus_1',
  external_id: 'ada',
  name: 'Ada Lovelace',
  email: 'ada@example.com',
  address: { line1: '12 St James Square', city: 'London', country: 'GB' },
  tax_ids: [{ type: 'gb_vat', value: 'GB1' }],
  payment_reference: 'pay_1',
  metadata: { note: 'x' },
  version: 1,
};

describe('a customer, to who may not read customers,', () => {
  const withhold = withholding(WrittenCustomer, nobody);

  it('has none of the fields that are sealed, and all of the others', () => {
    expect(sealedColumns.personal.table).toBe('customers');
    const told = withhold?.(customer, nobody) as object;
    expect(Object.keys(told)).toEqual(['id', 'external_id', 'metadata', 'version']);
    for (const name of Object.keys(Personal.properties)) expect(told).not.toHaveProperty(name);
  });

  it('marks every field that is sealed, and no other', () => {
    const marked = Object.entries(Customer.properties).filter(([, field]) => 'x-needs-scope' in field);
    expect(marked.map(([name]) => name).toSorted()).toEqual(Object.keys(Personal.properties).toSorted());
  });

  it('is whole to who may', () => {
    expect(withhold?.(customer, all)).toEqual(customer);
    expect(withhold?.(customer, (scope) => scope === 'read:customers')).toEqual(customer);
  });
});

describe('fields that some are told', () => {
  const secret = Type.Optional(toldTo('read:things', Type.String()));

  it('are taken out of objects and lists, however deep', () => {
    const schema = Type.Object({
      items: Type.Array(Type.Object({ id: Type.String(), inner: Type.Object({ secret }) })),
    });
    const body = {
      items: [
        { id: 'a', inner: { secret: 'x' } },
        { id: 'b', inner: {} },
      ],
    };
    expect(withholding(schema, nobody)?.(body, nobody)).toEqual({
      items: [
        { id: 'a', inner: {} },
        { id: 'b', inner: {} },
      ],
    });
  });

  it('cost nothing where the scope of the route lets everyone read them, or where there are none', () => {
    expect(withholding(Customer, (scope) => scope === 'read:customers')).toBeUndefined();
    expect(withholding(Type.Object({ id: Type.String() }), nobody)).toBeUndefined();
  });

  it('can not be promised in every answer, nor stand where nothing takes them out', () => {
    expect(() => withholding(Customer, nobody)).toThrow('name may be left out');
    expect(() => withholding(Type.Union([Type.Object({ secret }), Type.Null()]), nobody)).toThrow(
      'can not be left out',
    );
    expect(() => withholding(Type.Record(Type.String(), Type.Object({ secret })), nobody)).toThrow(
      'can not be left out',
    );
  });
});
