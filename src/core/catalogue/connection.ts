import { type CatalogueEntry, DAEMON_LOG, entry } from './entry.ts';

/** The way to TrueNAS: network, TLS, login, calls. */
export const CONNECTION_ERRORS = {
  ARRAY_UNREACHABLE: entry(
    'unavailable',
    'TrueNAS cannot be reached',
    ['TrueNAS is down, rebooting or failing over', 'wrong api_host or api_port', 'a firewall or a broken network is in between'],
    ['ping the host of api_host from this node', 'curl -k https://HOST/api/versions', 'pve-truenas config check', 'TrueNAS: Network'],
  ),
  TLS_UNTRUSTED: entry(
    'unavailable',
    'The certificate of TrueNAS is not trusted',
    ['TrueNAS uses its self-signed certificate', 'the certificate was renewed', 'another machine answers at this address'],
    [
      'pvesm set STORAGE --fingerprint AA:BB:...: the SHA-256 fingerprint, compared with the one on TrueNAS first',
      'TrueNAS: System > General Settings > GUI > GUI SSL Certificate',
      'pvesm set STORAGE --truenas-ca /etc/pve/truenas-ca.pem: where a certificate authority of your own signed it',
    ],
  ),
  INSECURE_TRANSPORT: entry(
    'invalid',
    'An API key must not travel unencrypted',
    ['api_scheme is ws or http: TrueNAS revokes a key used that way'],
    ['pvesm set STORAGE --api_scheme wss', 'TrueNAS: Credentials > Users > API Keys: make a new key if it was revoked already'],
  ),
  AUTH_FAILED: entry(
    'refused',
    'TrueNAS does not accept the API key',
    [
      'the key was mistyped, revoked or has expired',
      'truenas-username is not the owner of the key',
      'TrueNAS revoked the key since it was used over http or ws',
    ],
    [
      'TrueNAS: Credentials > Users > API Keys',
      'pvesm set STORAGE --api_key KEY',
      'TrueNAS: System > Audit: the refused login with its reason',
    ],
    'nothing was changed; the daemon asks no more with this key until it is replaced',
  ),
  AUTH_RATE_LIMITED: entry(
    'unavailable',
    'TrueNAS limits logins from this address',
    [
      'more than 20 logins within 60 s from one address: several nodes or tools behind one NAT address, or a script that logs in for every call',
      'TrueNAS has seen 100 addresses since its start and takes no new one (its middleware forgets none)',
    ],
    [
      'pve-truenas health: shows how long the daemon waits yet; it logs in by itself',
      'TrueNAS: System > Audit: look who logs in so often',
      'if it lasts for more than some minutes: restart the middleware of TrueNAS (systemctl restart middlewared in its shell)',
    ],
  ),
  RATE_LIMITED: entry(
    'unavailable',
    'TrueNAS, or a proxy before it, takes no more requests for now',
    ['a proxy or firewall before TrueNAS limits requests (HTTP 429)', 'other clients ask TrueNAS too often'],
    [
      'pve-truenas health: shows how long the daemon waits yet; it goes on by itself',
      'let api_host name TrueNAS itself instead of a proxy',
    ],
  ),
  TOO_MANY_CALLS: entry(
    'unavailable',
    'TrueNAS has as many calls of one connection to do as it takes',
    ['calls that TrueNAS has not finished pile up: the pool or the middleware is slow'],
    ['TrueNAS: the Jobs icon in the top bar: what runs', 'pve-truenas health'],
  ),
  NOT_AUTHORIZED: entry(
    'refused',
    'The API key’s user lacks a role',
    ['the user’s privilege does not hold the role for this call', 'the user was taken out of its group'],
    ['TrueNAS: Credentials > Groups > Privileges', 'pve-truenas health'],
  ),
  RELEASE_UNSUPPORTED: entry(
    'refused',
    'This release of TrueNAS is not supported',
    ['it is older than 25.04', 'it is TrueNAS CORE'],
    ['TrueNAS: System > Update: 25.04, 25.10 or 26.0', 'curl -k https://HOST/api/versions'],
  ),
  ARRAY_PROTOCOL: entry(
    'unavailable',
    'TrueNAS answered something that is not understood',
    ['the port belongs to another service', 'a proxy sits between', 'this TrueNAS is newer than this version of pve-truenas knows'],
    ['curl -k https://HOST/api/versions: must list versions', 'pve-truenas config check', DAEMON_LOG],
  ),
  CALL_NOT_SENT: entry(
    'unavailable',
    'A call could not be sent to TrueNAS',
    ['the connection was lost', 'the time for the operation was over before it could be sent', 'too many calls wait for TrueNAS'],
    ['pve-truenas health', 'try again: nothing was sent'],
  ),
  CALL_REFUSED: entry(
    'refused',
    'TrueNAS refused a call',
    ['the reason stands in the message, in TrueNAS’s own words'],
    ['TrueNAS: Jobs (at the top right)', 'TrueNAS: System > Shell: tail /var/log/middlewared.log', DAEMON_LOG],
  ),
  OUTCOME_UNKNOWN: entry(
    'unknown-outcome',
    'TrueNAS did not answer a change that was sent',
    [
      'the connection was lost while the call ran',
      'TrueNAS was restarted or failed over',
      'TrueNAS took longer than the operation may last',
    ],
    ['wait for the daemon to settle it: pve-truenas health counts unfinished operations', 'pve-truenas list STORAGE', DAEMON_LOG],
  ),
  REQUEST_TOO_LARGE: entry(
    'invalid',
    'A call is larger than TrueNAS accepts (64 KiB)',
    ['a name or a comment is unusually long'],
    [`${DAEMON_LOG}: please report it`],
  ),
} as const satisfies Record<string, CatalogueEntry>;
