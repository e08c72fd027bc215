/** Tax rates, as a row of `resources.ts`. */
import type { Resource } from '#schemas/resource.ts';

export const taxRateResource = {
  prefix: 'txr',
  noun: 'tax rate',
  tag: 'Tax rates',
  about: 'What is charged of taxes: where, of what, and from when on.',
  name: 'code',
  scope: 'tax_rates',
  conflicts: {
    TAX_RATE_ARCHIVED: {
      status: 409,
      title: 'The tax rate is archived',
      cause: 'A tax rate that is archived stands on no new invoice. It does not change, and does not come back.',
      cure: 'Make another tax rate, under another code.',
    },
    TAX_RATE_IN_USE: {
      status: 409,
      title: 'A customer names the tax rate',
      cause: 'Customers that name a tax rate have it instead of those of their place, and would have none without it.',
      cure: 'Give these customers other rates with PATCH /v1/customers/{id}, and try again; or end the rate with `valid_until`.',
    },
  },
  stored: {
    table: 'tax_rates',
    columns: {
      code: 'text',
      name: 'text',
      percentage: 'text',
      inclusive: 'text',
      country: 'text',
      state: 'text',
      tax_category: 'text',
      valid_from: 'instant',
      valid_until: 'instant',
      archived_at: 'instant',
      metadata: 'text',
    },
  },
} as const satisfies Resource;
