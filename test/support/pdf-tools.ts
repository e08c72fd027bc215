/** Programs that know PDF and were not written here: qpdf, and those of poppler. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import {
  fetchWithApt,
  findOnPath,
  libraryEnvironment,
  type Program,
  programsFolder,
  tryProgram,
} from '../../platform/local/programs.ts';

const run = promisify(execFile);
const log = { info: () => {}, warn: console.warn };

const find = async (packageName: string, name: string, versionFlag: string): Promise<Program> => {
  const onPath = findOnPath(name);
  const found = onPath && (await tryProgram(onPath, versionFlag, 'the PATH'));
  if (found) return found;
  const target = join(programsFolder, packageName);
  const probe = () => tryProgram(join(target, 'usr/bin', name), versionFlag, target, libraryEnvironment(target));
  const fetched = await fetchWithApt(packageName, { target, probe, log });
  if ('program' in fetched) return fetched.program;
  throw new Error(
    `There is no ${name}, and it could not be fetched (${fetched.fault}). Install the package ${packageName}.`,
  );
};

const popplerTool = async (name: string): Promise<Program> => {
  const text = await find('poppler-utils', 'pdftotext', '-v');
  return { ...text, path: text.path.replace(/pdftotext$/, name) };
};

type Picture = { readonly width: number; readonly height: number; readonly data: Uint8Array };

/** A picture of grey values, 8 bit: what `pdftoppm -gray` writes. */
const pictureFromPgm = (bytes: Buffer): Picture => {
  const head = /^P5\s+(\d+)\s+(\d+)\s+255\s/.exec(bytes.subarray(0, 64).toString('latin1'));
  if (!head) throw new Error('no PGM');
  const grey = bytes.subarray(head[0].length);
  const data = new Uint8Array(grey.length * 4);
  for (const [at, value] of grey.entries()) data.set([value, value, value, 255], at * 4);
  return { width: Number(head[1]), height: Number(head[2]), data };
};

export const openPdf = (pdf: Uint8Array) => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-pdf-'));
  const file = join(folder, 'invoice.pdf');
  writeFileSync(file, pdf);
  const ask = async ({ path, environment }: Program, ...words: string[]): Promise<string> => {
    const options = { env: { ...process.env, ...environment }, maxBuffer: 67_108_864 };
    return (await run(path, words, options)).stdout;
  };
  return {
    /** Rejects where qpdf finds a fault or warns. */
    check: async () => ask(await find('qpdf', 'qpdf', '--version'), '--check', file),
    text: async (...words: string[]) => ask(await popplerTool('pdftotext'), ...words, file, '-'),
    /** Lines of the table of fonts, without its head. */
    fonts: async () => (await ask(await popplerTool('pdffonts'), file)).trim().split('\n').slice(2),
    /** Lines of the table of pictures, without its head. */
    images: async () => (await ask(await popplerTool('pdfimages'), '-list', file)).trim().split('\n').slice(2),
    info: async () => ask(await popplerTool('pdfinfo'), file),
    picture: async (page: number) => {
      const words = ['-gray', '-r', '150', '-f', String(page), '-singlefile', file, join(folder, 'page')];
      await ask(await popplerTool('pdftoppm'), ...words);
      return pictureFromPgm(readFileSync(join(folder, 'page.pgm')));
    },
    close: () => rmSync(folder, { recursive: true, force: true }),
  };
};
