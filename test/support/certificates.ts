/** Certificates for tests, made by the program `openssl`: Node has no way to make one. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Paths of PEM files. */
export type Pair = { readonly cert: string; readonly key: string };

type Authority = Pair & {
  /** A certificate for 127.0.0.1, ::1 and localhost, good for servers and clients. */
  readonly issue: (name: string) => Pair;
};

export type Certificates = {
  readonly folder: string;
  readonly authority: (name: string) => Authority;
  readonly end: () => void;
};

const openssl = (folder: string, ...words: string[]): void => {
  try {
    execFileSync('openssl', words, { cwd: folder, stdio: 'pipe' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT')
      throw new Error('the tests of TLS need the program openssl');
    throw error;
  }
};

const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

export const createCertificates = (): Certificates => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-tls-'));
  const pair = (name: string): Pair => ({ cert: join(folder, `${name}.crt`), key: join(folder, `${name}.key`) });
  const alternatives = join(folder, 'alternatives.cnf');
  writeFileSync(alternatives, 'subjectAltName=IP:127.0.0.1,IP:::1,DNS:localhost\n');
  return {
    folder,
    end: () => rmSync(folder, { recursive: true, force: true }),
    authority: (name) => {
      const ca = pair(name);
      openssl(
        folder,
        'req',
        '-x509',
        ...newKey,
        '-days',
        '2',
        '-subj',
        `/CN=${name}`,
        '-keyout',
        ca.key,
        '-out',
        ca.cert,
      );
      return {
        ...ca,
        issue: (subject) => {
          const { cert, key } = pair(subject);
          openssl(folder, 'req', ...newKey, '-subj', `/CN=${subject}`, '-keyout', key, '-out', `${cert}.request`);
          const signed = ['-CA', ca.cert, '-CAkey', ca.key, '-CAcreateserial', '-days', '2', '-extfile', alternatives];
          openssl(folder, 'x509', '-req', '-in', `${cert}.request`, ...signed, '-out', cert);
          return { cert, key };
        },
      };
    },
  };
};
