/** Mutants that no test can tell from the program, each with the reason. */
export type Equivalent = {
  readonly path: string;
  /** A text that is in the line, and in no other of the file. */
  readonly within: string;
  /** As `changeOf` tells them. */
  readonly changes: readonly string[];
  readonly reason: string;
};

const zeroHasNoSign = 'of zero both branches give zero';
const belowZeroOnly = 'sorting is stable, and asks only whether what is compared lies below zero';
const faultsDecide = 'there are faults then, and a value that comes with faults is not used';
const onlyFaster = 'a short cut: without it the same comes out, later';
const alwaysHolds = 'it holds by construction; it is there to stop at a bug';
const factors = 'factors of a product';
const eitherOrder = 'of two in either order the same comes out';

export const equivalents: readonly Equivalent[] = [
  {
    path: 'schemas/money.ts',
    within: 'const awayFromZero =',
    changes: ['< -> <=', '0n -> 1n'],
    reason: 'a dividend of zero has no rest, and has returned',
  },
  { path: 'schemas/money.ts', within: 'const twiceRest =', changes: ['< -> <=', '0n -> 1n'], reason: zeroHasNoSign },
  {
    path: 'schemas/money.ts',
    within: 'return twiceRest > divisor',
    changes: ['> -> >='],
    reason: 'a half has returned in the line before',
  },
  {
    path: 'schemas/money.ts',
    within: 'flatAmount === 0n ? product',
    changes: ['flatAmount === 0n -> false'],
    reason: onlyFaster,
  },
  {
    path: 'schemas/money.ts',
    within: 'const minorUnitsAtScales =',
    changes: ['1 -> (1 + 1)'],
    reason: 'no currency has one decimal place',
  },
  { path: 'schemas/money.ts', within: 'has at most 4 decimal places', changes: ['removed'], reason: alwaysHolds },
  { path: 'schemas/money.ts', within: 'const units =', changes: ['< -> <=', '0n -> 1n'], reason: zeroHasNoSign },
  {
    path: 'schemas/money.ts',
    within: 'a.remainder > b.remainder ? -1 :',
    changes: [
      'a.remainder < b.remainder -> true',
      'a.remainder < b.remainder -> false',
      '< -> <=',
      '< -> >=',
      '1 -> (1 + 1)',
      '- -> +',
    ],
    reason: `${belowZeroOnly}; V8 compares a later item with an earlier one, whose position is lower`,
  },
  { path: 'schemas/money.ts', within: 'const parts =', changes: ['< -> <=', '0n -> 1n'], reason: zeroHasNoSign },
  { path: 'schemas/money.ts', within: 'an allocation loses nothing', changes: ['removed'], reason: alwaysHolds },
  {
    path: 'schemas/fixed-point.ts',
    within: 'if (text.length >',
    changes: ['text.length > integerDigitsMax + scale + 2 -> false', '2 -> (2 + 1)'],
    reason: onlyFaster,
  },
  {
    path: 'schemas/fixed-point.ts',
    within: '] = match;',
    changes: ["'' -> 'mutant'"],
    reason: 'two of the groups are part of every match; without the third, tests fail',
  },
  { path: 'schemas/fixed-point.ts', within: 'const digits =', changes: ['< -> <=', '0n -> 1n'], reason: zeroHasNoSign },
  {
    path: 'schemas/proration.ts',
    within: 'samePeriod(billing, span)',
    changes: ['billing, span -> span, billing'],
    reason: eitherOrder,
  },
  {
    path: 'schemas/proration.ts',
    within: 'Math.min(Math.max(days, 0), of)',
    changes: ['Math.max(days, 0), of -> of, Math.max(days, 0)', 'days, 0 -> 0, days'],
    reason: eitherOrder,
  },
  {
    path: 'schemas/billing-cycle.ts',
    within: 'if (error instanceof RangeError)',
    changes: ['error instanceof RangeError -> true'],
    reason: 'what is no date is a RangeError; another one would be a bug',
  },
  {
    path: 'schemas/billing-cycle.ts',
    within: 'throw error;',
    changes: ['removed'],
    reason: 'what is no date is a RangeError; another one would be a bug',
  },
  {
    path: 'schemas/billing-cycle.ts',
    within: '(local.year - anchor.year) * 12',
    changes: ['- -> +', '+ -> -', '* -> /', '12 -> (12 + 1)'],
    reason: 'it is where the search begins: from elsewhere the same is found, later',
  },
  {
    path: 'schemas/billing-cycle.ts',
    within: 'while (at(n) > instant)',
    changes: ['> -> >=', '1 -> (1 + 1)'],
    reason: 'the search that follows goes forward again',
  },
  {
    path: 'schemas/billing-cycle.ts',
    within: 'while (at(n + 1) <= instant)',
    changes: ['<= -> <'],
    reason: 'at the very boundary the clock shows its date, so the search begins there or behind it',
  },
  {
    path: 'rater/price/matrix.ts',
    within: '!parts.has(part)',
    changes: ['!parts.has(part) && cellPrice.minimumAmount === null -> false', 'removed'],
    reason: `${onlyFaster}; a cell without usage has no step`,
  },
  { path: 'rater/price/matrix.ts', within: 'if (known) return', changes: ['known -> false'], reason: onlyFaster },
  {
    path: 'rater/price/matrix.ts',
    within: 'const owing =',
    changes: ['cell.price.minimumAmount === null -> false'],
    reason: `${onlyFaster}; a cell that owes nothing has no step`,
  },
  {
    path: 'rater/price/matrix.ts',
    within: 'placesByPrice.set(price, places)',
    changes: ['removed', 'price, places -> places, price'],
    reason: onlyFaster,
  },
  {
    path: 'rater/price/percentage.ts',
    within: 'add(partNames.belowZero,',
    changes: ['to, part.quantity -> part.quantity, to'],
    reason: 'it is the first step, so it ends where its quantity does',
  },
  {
    path: 'rater/price/percentage.ts',
    within: 'times(terms.fixedAmount, events)',
    changes: ['terms.fixedAmount, events -> events, terms.fixedAmount'],
    reason: factors,
  },
  {
    path: 'rater/price/steps.ts',
    within: 'amount: preciseSum(',
    changes: ['unitAmount, priced -> priced, unitAmount'],
    reason: factors,
  },
  {
    path: 'rater/price/steps.ts',
    within: 'if (freeUnits === zeroQuantity && quantity >= zeroQuantity)',
    changes: ['freeUnits === zeroQuantity && quantity >= zeroQuantity -> false', '>= -> >'],
    reason: onlyFaster,
  },
  {
    path: 'rater/price/price-spans.ts',
    within: 'if (quantity < zeroQuantity) return',
    changes: ['< -> <='],
    reason: 'of zero there are no steps, either way',
  },
  {
    path: 'rater/price/price-timeline.ts',
    within: '(a.id < b.id ? 1 : -1)',
    changes: ['< -> <=', '1 -> (1 + 1)'],
    reason: 'no two have one id; sorting asks only on which side of zero what is compared lies',
  },
  {
    path: 'rater/price/price-timeline.ts',
    within: 'spans.splice(',
    changes: ['1 -> (1 + 1)'],
    reason: 'behind the last there is nothing to take away; from the last but one, tests fail',
  },
  {
    path: 'rater/price/price-timeline.ts',
    within: 'return spans.length === 1 &&',
    changes: ['?. -> .'],
    reason: 'there is one then',
  },
  {
    path: 'rater/price/prorate.ts',
    within: 'roundShareToMinorUnits(whole,',
    changes: ['whole, BigInt(part) -> BigInt(part), whole'],
    reason: factors,
  },
  {
    path: 'rater/price/rate.ts',
    within: 'parts: parts ? new Map(parts) : noParts',
    changes: ['parts -> true'],
    reason: onlyFaster,
  },
  {
    path: 'rater/price/resolve-price.ts',
    within: 'price: perUnitAt(multiplyAmounts(',
    changes: ['unitCost, price.factor -> price.factor, unitCost'],
    reason: factors,
  },
  {
    path: 'rater/price/resolve-price.ts',
    within: 'defaultPrice: perUnitAt(multiplyAmounts(',
    changes: ['version.defaultCost, price.factor -> price.factor, version.defaultCost'],
    reason: factors,
  },
  { path: 'rater/price/resolve-price.ts', within: 'texts.set(price, text)', changes: ['removed'], reason: onlyFaster },
  {
    path: 'rater/price/resolve-price.ts',
    within: "if (price.model !== 'cost_book') return [];",
    changes: ["price.model !== 'cost_book' -> false"],
    reason: 'what names no book finds none',
  },
  {
    path: 'rater/price/resolve-price.ts',
    within: 'instant > start && instant < end',
    changes: ['> -> >='],
    reason: 'at the start the price is the one that it is compared with',
  },
  {
    path: 'rater/price/source-rows.ts',
    within: 'const [{ currency =',
    changes: ["'' -> 'mutant'"],
    reason: 'a group has a row; without one, neither is a currency',
  },
  {
    path: 'rater/price/usage-of-events.ts',
    within: "properties.get(dimensions[index] ?? '')",
    changes: ["'' -> 'mutant'"],
    reason: 'a cell has as many values as there are dimensions',
  },
  {
    path: 'rater/price/usage-of-events.ts',
    within: 'preciseSum(terms.rate, value,',
    changes: ['terms.rate, value -> value, terms.rate'],
    reason: factors,
  },
  {
    path: 'rater/price/usage-of-events.ts',
    within: "measuredNumber(properties.get(property) ?? '')",
    changes: ["'' -> 'mutant'"],
    reason: 'neither is a number',
  },
  { path: 'rater/price/volume.ts', within: 'the last tier has no bound', changes: ['removed'], reason: alwaysHolds },
  {
    path: 'schemas/price/field.ts',
    within: "value < 0 ? 'negative'",
    changes: ['< -> <='],
    reason: 'a count of zero has returned',
  },
  {
    path: 'schemas/price/field.ts',
    within: 'if (values && upTo !== undefined) tiers.push',
    changes: ['values && upTo !== undefined -> true', '&& -> ||'],
    reason: faultsDecide,
  },
  {
    path: 'schemas/price/field.ts',
    within: 'return tiers.length === items.length',
    changes: ['tiers.length === items.length -> true'],
    reason: faultsDecide,
  },
  {
    path: 'schemas/price/field.ts',
    within: "presence: 'optional',",
    changes: ["'optional' -> ''"],
    reason: 'only the two other words are asked for',
  },
  {
    path: 'schemas/price/field.ts',
    within: 'const isLast =',
    changes: ["'object' -> ''", "['up_to'] -> []"],
    reason: 'every item of the list is an object with that field, as another part of the schema says',
  },
  {
    path: 'schemas/price/matrix.ts',
    within: '(items as string[]) : undefined',
    changes: ['faults.length === before -> true'],
    reason: faultsDecide,
  },
  {
    path: 'schemas/price/matrix.ts',
    within: 'Object.fromEntries(match) : undefined',
    changes: ['faults.length === before -> true'],
    reason: faultsDecide,
  },
  {
    path: 'schemas/price/matrix.ts',
    within: "(is ? 'a' : 'b')).join('')",
    changes: ["'' -> 'mutant'"],
    reason: 'the same text between all letters keeps their order',
  },
  {
    path: 'schemas/price/matrix.ts',
    within: 'ranked.toSorted(',
    changes: ['a.rank > b.rank -> true', 'a.rank > b.rank -> false', '> -> >=', '> -> <=', '1 -> (1 + 1)', '0 -> 1'],
    reason: belowZeroOnly,
  },
  {
    path: 'schemas/price/registry.ts',
    within: "asObject(json, '', [])",
    changes: ["'' -> 'mutant'"],
    reason: 'the faults of that reading are thrown away',
  },
];
