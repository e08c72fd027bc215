/**
 * `npm run bench:documents`: what a PDF of an invoice takes, by its lines: each from a process of its own, so that its
 * peak of memory is its own.
 */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { createPdfMaker } from '../invoicer/documents/invoice-pdf.typst.ts';
import { sampleDocument } from '../test/support/sample-document.ts';

const { values } = parseArgs({
  options: {
    lines: { type: 'string', multiple: true, default: ['1', '20', '40', '400', '10000'] },
    /** By itself: the one measurement of this process. */
    only: { type: 'string' },
  },
});

const cpuMs = (since?: NodeJS.CpuUsage): number => {
  const { user, system } = process.cpuUsage(since);
  return (user + system) / 1000;
};

const measure = (lines: number): void => {
  const beforeFonts = process.cpuUsage();
  const maker = createPdfMaker();
  const fonts = cpuMs(beforeFonts);
  // The first one reads fonts that no other has to read again.
  const beforeFirst = process.cpuUsage();
  maker.make(sampleDocument({}, 1));
  const first = cpuMs(beforeFirst);
  const times = Array.from({ length: lines > 1000 ? 1 : 20 }, (_, index) => {
    const before = process.cpuUsage();
    const pdf = maker.make(sampleDocument({ documentNumber: `INV-${index}` }, lines));
    return { cpu: cpuMs(before), bytes: pdf.length };
  }).sort((a, b) => a.cpu - b.cpu);
  const median = times[Math.floor(times.length / 2)] as (typeof times)[number];
  const megabytes = process.resourceUsage().maxRSS / 1024;
  const cells = [lines, median.cpu, first, fonts, median.bytes / 1024, megabytes];
  process.stdout.write(`| ${cells.map((cell) => String(Math.ceil(cell))).join(' | ')} |\n`);
};

if (values.only === undefined) {
  process.stdout.write('| lines | CPU, ms | of the first, ms | fonts, ms | PDF, KB | peak, MB |\n|-|-|-|-|-|-|\n');
  for (const lines of values.lines) {
    const words = [fileURLToPath(import.meta.url), '--only', lines];
    process.stdout.write((await promisify(execFile)(process.execPath, words)).stdout);
  }
} else {
  measure(Number(values.only));
}
