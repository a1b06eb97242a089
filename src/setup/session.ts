import { withDeadline } from '../core/deadline.ts';
import { StorageError } from '../core/errors.ts';
import type { Clock } from '../core/ports.ts';
import { type AdminCredential, AdminSession } from '../truenas/admin-session.ts';
import { lookAtCertificate, type ShownCertificate } from '../truenas/certificate.ts';
import type { RequestFor } from '../truenas/wire/request.ts';
import type { Answers } from './answers.ts';
import type { ArrayAdmin } from './look.ts';

const LOOK_MS = 20_000;

function endpointOf({ host, port }: Pick<Answers, 'host' | 'port'>, fingerprint: string | null) {
  const common = { apiScheme: 'wss', apiInsecure: false, caFile: null, preferIpv4: true } as const;
  return { ...common, apiHost: host, apiPort: port, fingerprint };
}

/** The certificate that answers, before anything is sent. Errors: ARRAY_UNREACHABLE, ARRAY_PROTOCOL. */
export function certificateOf(answers: Pick<Answers, 'host' | 'port'>, clock: Clock, signal: AbortSignal): Promise<ShownCertificate> {
  return withDeadline(
    clock,
    LOOK_MS,
    'looking at the certificate',
    (deadline) => lookAtCertificate(endpointOf(answers, null), deadline),
    signal,
  );
}

export interface OpenArray extends ArrayAdmin {
  readonly version: string;
  close(): void;
}

/** Logs in with what the administrator gave. `fingerprint` null: a CA vouches for the certificate. Errors: as AdminSession.open. */
export async function openArray(
  answers: Pick<Answers, 'host' | 'port'>,
  credential: AdminCredential,
  fingerprint: string | null,
  clock: Clock,
  signal: AbortSignal,
): Promise<OpenArray> {
  const session = await AdminSession.open({ endpoint: endpointOf(answers, fingerprint), credential, clock }, signal);
  return {
    version: session.version,
    get release() {
      return session.release;
    },
    // A call that was sent is waited for also after an interruption: only so is known what is to be taken back.
    call: <T>(request: RequestFor<T>) => session.call(request, new AbortController().signal),
    close: () => session.close(new StorageError('SHUTTING_DOWN', 'setup has ended')),
  };
}

export type { AdminCredential, ShownCertificate };
