import { StorageError } from '../core/errors.ts';
import type { Deadline } from '../core/ports.ts';
import { normalFingerprint } from './array-key.ts';
import { authority, connectTls, type Endpoint } from './tls.ts';

/** What a TLS server shows of itself. */
export interface ShownCertificate {
  /** SHA-256, upper-case hex pairs with colons */
  readonly fingerprint: string;
  readonly subject: string;
  /** As the certificate says it: `Nov 25 06:00:00 2027 GMT` */
  readonly validTo: string;
  /** The CAs of the system, or of `caFile`, vouch for it. */
  readonly trusted: boolean;
}

interface PeerCertificate {
  readonly fingerprint256?: string;
  readonly subject?: { readonly CN?: string };
  readonly valid_to?: string;
}

/** Looks at the certificate and sends nothing. Errors: as connectTls, but for TLS_UNTRUSTED; ARRAY_PROTOCOL without a certificate. */
export async function lookAtCertificate(endpoint: Endpoint, deadline: Deadline): Promise<ShownCertificate> {
  const socket = await connectTls({ ...endpoint, fingerprint: null, apiInsecure: true }, deadline);
  try {
    // Undocumented by the types: without a certificate the object is empty.
    const shown = socket.getPeerCertificate() as PeerCertificate;
    if (shown.fingerprint256 === undefined) throw new StorageError('ARRAY_PROTOCOL', `${authority(endpoint)} shows no certificate`);
    return {
      fingerprint: normalFingerprint(shown.fingerprint256),
      subject: shown.subject?.CN ?? '(no name)',
      validTo: shown.valid_to ?? '(not told)',
      trusted: socket.authorized,
    };
  } finally {
    socket.destroy();
  }
}
