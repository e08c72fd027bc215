import type { Fragment } from './fragment.ts';

/** How many events there were. */
export const countFragment = (name: string, meter: { readonly event: string }): Fragment => ({
  columns: [],
  quantity: `toString(countIf(event = {${name}_event:String}))`,
  unmeasured: 'toUInt64(0)',
  params: { [`${name}_event`]: meter.event },
});
