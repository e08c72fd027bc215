import { type Fragment, valuePattern } from './fragment.ts';

/**
 * The exact sum of a property: Decimal(76, 12) from the property's text, wide enough that no sum of stored events overflows it.
 * Only the property's own subcolumn is read.
 */
export const sumFragment = (name: string, meter: { readonly event: string; readonly property: string }): Fragment => {
  const value = `${name}_value`;
  const measured = `ifNull(match(${value}, '${valuePattern}'), 0)`;
  const isEvent = `event = {${name}_event:String}`;
  return {
    columns: [{ name: value, sql: `CAST(properties.{${name}_property:Identifier} AS Nullable(String))` }],
    quantity: `toString(sumIf(ifNull(toDecimal256OrNull(if(${measured}, ${value}, NULL), 12), toDecimal256(0, 12)), ${isEvent}))`,
    unmeasured: `countIf(${isEvent} AND NOT ${measured})`,
    params: { [`${name}_event`]: meter.event, [`${name}_property`]: meter.property },
  };
};
