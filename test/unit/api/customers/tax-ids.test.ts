import { describe, expect, it } from 'vitest';
import { taxIdFaults } from '../../../../api/issuing/tax-ids.ts';

const faultOf = (type: string, value: string) => taxIdFaults([{ type, value }], 'tax_ids')[0];

describe('a tax id', () => {
  // Of firms that print theirs, or made by the published check digits.
  it.each([
    ['eu_vat', 'DE811907980'],
    ['eu_vat', 'de 811 907 980'],
    ['eu_vat', 'ATU12011204'],
    ['eu_vat', 'BE0411905847'],
    ['eu_vat', 'NL004495445B01'],
    ['eu_vat', 'FR40303265045'],
    ['eu_vat', 'IT00743110157'],
    ['eu_vat', 'ESX5910266W'],
    ['eu_vat', 'EL094259216'],
    ['eu_vat', 'SE556188840401'],
    ['eu_vat', 'PL5260001246'],
    ['eu_vat', 'IE1234567FA'],
    ['eu_vat', 'XI110305878'],
    ['eu_vat', 'EU372000041'],
    ['de_vat', 'DE811907980'],
    ['gb_vat', 'GB110305878'],
    ['gb_vat', 'GBGD001'],
    ['ch_vat', 'CHE-116.281.710 MWST'],
    ['ch_vat', 'CHE116281710'],
    ['no_vat', '923609016MVA'],
    ['no_vat', 'NO 923 609 016 MVA'],
  ])('of the kind %s is taken where it is well formed: %s', (type, value) => {
    expect(faultOf(type, value)).toBeUndefined();
  });

  it.each([
    ['eu_vat', 'DE811907981'],
    ['eu_vat', '811907980'],
    ['eu_vat', 'GB110305878'],
    ['eu_vat', 'CHE116281710'],
    ['eu_vat', 'GR094259216'],
    ['eu_vat', 'XX811907980'],
    ['eu_vat', 'DE'],
    ['eu_vat', '-- ..'],
    ['at_vat', 'DE811907980'],
    ['gb_vat', 'GB123456789'],
    ['gb_vat', 'DE811907980'],
    ['ch_vat', 'CHE116281711'],
    ['no_vat', '923609017MVA'],
  ])('of the kind %s is refused where it is not: %s', (type, value) => {
    expect(faultOf(type, value)).toMatchObject({
      field: 'tax_ids[0].value',
      code: 'wrong_format',
      message: expect.stringMatching(/^must be an? (VAT number|UID|organisation number) of /),
    });
  });

  it.each([['us_ein'], ['in_gst'], ['jp_cn'], ['eu_oss'], ['constructor']])('of the unknown kind %s passes', (type) => {
    expect(faultOf(type, 'anything at all')).toBeUndefined();
  });

  it('at fault is named by its place, and every one is', () => {
    const wrong = { type: 'eu_vat', value: 'DE1' };
    const faults = taxIdFaults([wrong, { type: 'eu_vat', value: 'DE811907980' }, wrong], 'tax_ids');
    expect(faults.map(({ field }) => field)).toEqual(['tax_ids[0].value', 'tax_ids[2].value']);
  });

  it('that is made to be slow is refused at once', () => {
    const begin = performance.now();
    for (const value of ['DE'.padEnd(40, '1'), 'ES'.padEnd(40, 'A'), `CHE${'.'.repeat(37)}`, ' '.repeat(40)])
      expect(faultOf('eu_vat', value)).toBeDefined();
    expect(performance.now() - begin).toBeLessThan(5_000);
  });
});
