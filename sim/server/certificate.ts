import { createHash, createPublicKey, generateKeyPairSync, randomBytes, X509Certificate } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import jsrsasign from 'jsrsasign';

export interface ServerCertificate {
  readonly certPem: string;
  readonly keyPem: string;
  /** SHA-256, `AA:BB:...` */
  readonly fingerprint: string;
  /** SHA-256 of the DER: SCRAM's channel binding (tls-server-end-point) */
  readonly hash: Buffer;
}

const DAY_MS = 86_400_000;
const VALID_DAYS = 3650;
const SUBJECT = '/C=US/O=iXsystems/CN=localhost';

function asn1Time(ms: number): string {
  return `${new Date(ms).toISOString().replaceAll(/[-:T]/g, '').slice(0, 14)}Z`;
}

function describe(certPem: string, keyPem: string): ServerCertificate {
  const certificate = new X509Certificate(certPem);
  return { certPem, keyPem, fingerprint: certificate.fingerprint256, hash: createHash('sha256').update(certificate.raw).digest() };
}

/** A self-signed certificate for 127.0.0.1, ::1 and localhost, as a new TrueNAS has one. `now`: ms since the epoch. */
export function makeCertificate(now: number): ServerCertificate {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const keyPem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const publicPem = createPublicKey(keyPem).export({ type: 'spki', format: 'pem' }).toString();
  const certificate = new jsrsasign.KJUR.asn1.x509.Certificate({
    version: 3,
    // Positive and short enough for DER: at most 20 octets (RFC 5280 4.1.2.2).
    serial: { hex: `01${randomBytes(15).toString('hex')}` },
    subject: { str: SUBJECT },
    issuer: { str: SUBJECT },
    notbefore: asn1Time(now - DAY_MS),
    notafter: asn1Time(now + VALID_DAYS * DAY_MS),
    sbjpubkey: publicPem,
    ext: [
      { extname: 'basicConstraints', critical: true, cA: true },
      { extname: 'subjectAltName', array: [{ dns: 'localhost' }, { ip: '127.0.0.1' }, { ip: '::1' }] },
    ],
    sigalg: 'SHA256withECDSA',
    cakey: keyPem,
  });
  return describe(certificate.getPEM(), keyPem);
}

/** The certificate kept in `directory`, made there when there is none: clients that pinned it stay right after a restart. */
export function keptCertificate(directory: string, now: number): ServerCertificate {
  const certFile = join(directory, 'server.crt');
  const keyFile = join(directory, 'server.key');
  if (existsSync(certFile) && existsSync(keyFile)) return describe(readFileSync(certFile, 'utf8'), readFileSync(keyFile, 'utf8'));
  const made = makeCertificate(now);
  writeFileSync(keyFile, made.keyPem, { mode: 0o600 });
  writeFileSync(certFile, made.certPem, { mode: 0o644 });
  return made;
}
