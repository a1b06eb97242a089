import { X509Certificate } from 'node:crypto';
import type { StorageConfig } from '../../config/storage-config.ts';
import type { Deadline } from '../../core/ports.ts';
import { error, type Finding, ok, skipped, warning } from '../finding.ts';
import type { DoctorPorts, TlsFacts } from '../ports.ts';
import { messageOf } from '../reasons.ts';

const DAY_MS = 86_400_000;
/** days before the end of a certificate from which on it is time */
const SOON = 30;
const RENEW = 'TrueNAS: Credentials > Certificates: renew it, then System > General Settings > GUI';

/** Handshake, dates, chain and pin; nothing is sent but the handshake. */
export async function checkTls(
  ports: Pick<DoctorPorts, 'network' | 'clock'>,
  config: StorageConfig,
  deadline: Deadline,
): Promise<readonly Finding[]> {
  const at = `${config.apiHost}:${config.apiPort}`;
  if (config.apiScheme === 'ws')
    return [skipped('TLS', `api_scheme is ws: ${at} is asked without TLS, which only this node itself may be`)];
  try {
    const [address] = await ports.network.resolve(config.apiHost, deadline);
    if (address === undefined) return [skipped('TLS', `${config.apiHost} has no address`)];
    const facts = await ports.network.tls(config, address, deadline);
    return [ok('TLS', `${at} answers with ${facts.protocol}`), judgeDates(config, facts, ports.clock.now()), judgeTrust(config, facts)];
  } catch (thrown) {
    deadline.signal.throwIfAborted();
    return [
      error(
        'TLS',
        `${at} cannot be reached by TLS: ${messageOf(thrown)}`,
        'api_host and api_port; TrueNAS: System > General Settings > GUI; a firewall between',
      ),
    ];
  }
}

/** `now`: ms since the epoch. A pinned certificate is taken whatever its dates say, everything else is refused then. */
export function judgeDates(config: Pick<StorageConfig, 'fingerprint' | 'apiInsecure'>, facts: TlsFacts, now: number): Finding {
  const name = 'certificate dates';
  const { validFrom, validTo } = facts;
  if (Number.isNaN(validFrom) || Number.isNaN(validTo)) return warning(name, 'the dates of the certificate are not understood', RENEW);
  const seen = `${facts.subject}, valid from ${day(validFrom)} to ${day(validTo)}`;
  const bad = config.fingerprint !== null || config.apiInsecure ? warning : error;
  const taken = config.fingerprint !== null ? '; it is taken since its fingerprint is pinned' : '';
  if (now < validFrom)
    return bad(
      name,
      `${seen}: not yet valid, or the clock of this node is wrong${taken}`,
      'timedatectl; TrueNAS: System > General Settings',
    );
  if (now >= validTo) return bad(name, `${seen}: it has ended${taken}`, RENEW);
  const left = Math.floor((validTo - now) / DAY_MS);
  if (left < SOON) return warning(name, `${seen}: ${left} days are left`, RENEW);
  return ok(name, `${seen}: ${left} days are left`);
}

/** How the certificate is trusted: by its pin, by a CA, or not at all. */
export function judgeTrust(config: Pick<StorageConfig, 'id' | 'fingerprint' | 'apiInsecure' | 'caFile'>, facts: TlsFacts): Finding {
  const name = 'certificate trust';
  const chain = `issued by ${facts.issuer}, ${facts.chainLength} certificate${facts.chainLength === 1 ? '' : 's'} sent`;
  const pin = `pvesm set ${config.id} --fingerprint ${facts.fingerprint}`;
  if (config.fingerprint !== null) {
    if (config.fingerprint.toUpperCase() === facts.fingerprint)
      return ok(name, `pinned: its fingerprint is the one in storage.cfg; ${chain}`);
    return error(
      name,
      `its fingerprint is ${facts.fingerprint}, not the one in the setting fingerprint: the certificate was renewed, or another machine answers`,
      `compare it in TrueNAS, then: ${pin}`,
    );
  }
  if (facts.distrust === null)
    return ok(name, `trusted by ${config.caFile === null ? 'the well-known CAs' : `the CA in ${config.caFile}`}; ${chain}`);
  if (config.apiInsecure)
    return warning(
      name,
      `api_insecure is set: whoever answers is taken for TrueNAS (${facts.distrust}); ${chain}`,
      `compare the fingerprint in TrueNAS, then: ${pin} --delete api_insecure`,
    );
  return error(
    name,
    `not trusted: ${facts.distrust}; ${chain}`,
    `compare the fingerprint in TrueNAS, then: ${pin}; or truenas-ca with the CA's certificate`,
  );
}

function day(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

/** Facts of a certificate in DER form. */
export function certificateFacts(der: Buffer): Pick<TlsFacts, 'fingerprint' | 'subject' | 'issuer' | 'validFrom' | 'validTo'> {
  const certificate = new X509Certificate(der);
  return {
    fingerprint: certificate.fingerprint256,
    subject: commonName(certificate.subject),
    issuer: certificate.subject === certificate.issuer ? 'itself' : commonName(certificate.issuer),
    validFrom: Date.parse(certificate.validFrom),
    validTo: Date.parse(certificate.validTo),
  };
}

/** The `CN=` of a name, else the whole of it in one line. */
function commonName(name: string): string {
  return (/^CN=(.*)$/m.exec(name)?.[1] ?? name.replaceAll('\n', ', ')).slice(0, 200);
}
