/**
 * TLS for the HTTP servers of a process, from PEM files: version 1.2 or newer, and with a CA for clients only those who
 * show a certificate of it. The files are read again while the process runs, so that a new certificate needs no
 * restart; files that are not usable change nothing. Rejected option: watching the files. A certificate that is mounted
 * as a secret is renewed by moving a link, which a watch of the file does not see, and a copy may keep its time; three
 * small files are read in less than a millisecond.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Server, ServerOptions } from 'node:https';
import { createSecureContext } from 'node:tls';
import type { Log } from './log.ts';

/** Paths of PEM files. The certificate may be followed by those of its issuers. */
export type TlsFiles = { readonly certFile: string; readonly keyFile: string; readonly clientCaFile: string };

const variables = {
  certFile: 'MILLRACE_TLS_CERT_FILE',
  keyFile: 'MILLRACE_TLS_KEY_FILE',
  clientCaFile: 'MILLRACE_TLS_CLIENT_CA_FILE',
} as const satisfies Record<keyof TlsFiles, string>;

/** TLS 1.2 only with forward secrecy and authenticated encryption; TLS 1.3 has nothing else. */
const ciphers = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':');

type Contents = { readonly [K in keyof TlsFiles]: Buffer | undefined };

const readOne = (path: string, variable: string, faults: string[]): Buffer | undefined => {
  if (path === '') return undefined;
  try {
    return readFileSync(path);
  } catch (error) {
    faults.push(`${variable} can't be read: ${(error as Error).message}`);
    return undefined;
  }
};

const readAll = (files: TlsFiles, faults: string[]): Contents => ({
  certFile: readOne(files.certFile, variables.certFile, faults),
  keyFile: readOne(files.keyFile, variables.keyFile, faults),
  clientCaFile: readOne(files.clientCaFile, variables.clientCaFile, faults),
});

const certificateIn = (pem: Buffer | undefined, variable: string, faults: string[]): X509Certificate | undefined => {
  if (!pem) return undefined;
  try {
    return new X509Certificate(pem);
  } catch {
    faults.push(`${variable} must name a file with a certificate in PEM form`);
    return undefined;
  }
};

const keyIn = (pem: Buffer | undefined, faults: string[]): KeyObject | undefined => {
  if (!pem) return undefined;
  try {
    return createPrivateKey(pem);
  } catch {
    faults.push(`${variables.keyFile} must name a file with a private key in PEM form, without a passphrase`);
    return undefined;
  }
};

const optionsOf = (contents: Contents): ServerOptions => ({
  minVersion: 'TLSv1.2',
  ciphers,
  honorCipherOrder: true,
  ...(contents.certFile && { cert: contents.certFile }),
  ...(contents.keyFile && { key: contents.keyFile }),
  ...(contents.clientCaFile && { ca: contents.clientCaFile, requestCert: true, rejectUnauthorized: true }),
});

/** What keeps the contents from serving, each with the name of its variable; none of it repeats a key. */
const faultsIn = (contents: Contents, faults: string[]): void => {
  const certificate = certificateIn(contents.certFile, variables.certFile, faults);
  const key = keyIn(contents.keyFile, faults);
  certificateIn(contents.clientCaFile, variables.clientCaFile, faults);
  if (certificate && key && !certificate.checkPrivateKey(key)) {
    faults.push(
      `${variables.keyFile} must name the key of the certificate in ${variables.certFile}; it belongs to another`,
    );
  }
  if (faults.length > 0) return;
  try {
    createSecureContext(optionsOf(contents));
  } catch (error) {
    faults.push(`${variables.certFile} and ${variables.keyFile} are not usable: ${(error as Error).message}`);
  }
};

/** What is wrong with the files, before anything is started; without any of them there is no TLS and no fault. */
export const tlsFaults = (files: TlsFiles): string[] => {
  if ((files.certFile === '') !== (files.keyFile === ''))
    return [`${variables.certFile} and ${variables.keyFile} must be given together`];
  if (files.certFile === '') {
    return files.clientCaFile === ''
      ? []
      : [`${variables.clientCaFile} needs ${variables.certFile} and ${variables.keyFile}`];
  }
  const faults: string[] = [];
  const contents = readAll(files, faults);
  if (faults.length === 0) faultsIn(contents, faults);
  return faults;
};

export type Tls = {
  readonly options: ServerOptions;
  /** Reads the files again, every so often until the server is closed. */
  readonly renew: (server: Server) => void;
};

const isSame = (one: Contents, other: Contents): boolean =>
  (Object.keys(variables) as (keyof TlsFiles)[]).every(
    (name) => Buffer.compare(one[name] ?? Buffer.alloc(0), other[name] ?? Buffer.alloc(0)) === 0,
  );

/** Throws where the files are not usable; the configuration has said so before in plain words (`tlsFaults`). */
export const createTls = (files: TlsFiles, reloadMs: number, log: Log): Tls => {
  const faults: string[] = [];
  const first = readAll(files, faults);
  if (faults.length === 0) faultsIn(first, faults);
  if (faults.length > 0) throw new Error(faults.join('; '));
  let seen = first;
  let lastFaults = '';
  const renewOnce = (server: Server): void => {
    const found: string[] = [];
    const contents = readAll(files, found);
    if (found.length === 0 && isSame(contents, seen)) return;
    if (found.length === 0) faultsIn(contents, found);
    if (found.length > 0) {
      // While certificate and key are being replaced they don't fit for a moment; a fault that stays is told once.
      if (found.join() !== lastFaults)
        log.warn({ faults: found }, 'the TLS files are not usable; the ones read before stay in use');
      lastFaults = found.join();
      return;
    }
    server.setSecureContext(optionsOf(contents));
    seen = contents;
    lastFaults = '';
    const { subject, validTo } = new X509Certificate(contents.certFile as Buffer);
    log.info({ subject, validTo }, 'the TLS certificate was renewed');
  };
  return {
    options: optionsOf(first),
    renew: (server) => {
      const timer = setInterval(() => renewOnce(server), reloadMs);
      timer.unref();
      server.once('close', () => clearInterval(timer));
    },
  };
};
