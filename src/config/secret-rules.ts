/**
 * Rules on secrets. Their texts never hold a part of the secret, so they may go into messages (law 10).
 */

/** TrueNAS checks the same when the secret is entered there (truenas-api 11: iscsi.auth). */
const CHAP_LENGTH = { min: 12, max: 16 };

/** Why a CHAP secret cannot be the one that TrueNAS has; null when it can. `padded`: blanks stood beside it. */
export function chapSecretFault(secret: string, padded = false): string | null {
  const length = Array.from(secret).length;
  if (padded) return 'begins or ends with a blank, which TrueNAS refuses';
  if (length >= CHAP_LENGTH.min && length <= CHAP_LENGTH.max) return null;
  return `has ${length} characters; TrueNAS takes ${CHAP_LENGTH.min} to ${CHAP_LENGTH.max}`;
}

/** `<id>-<64 letters and digits>` (truenas-api 3). Another form is tried all the same: TrueNAS decides. */
export function apiKeyFault(text: string): string | null {
  if (/^[0-9]{1,10}-[A-Za-z0-9]{64}$/.test(text)) return null;
  return 'does not look like an API key of TrueNAS: a number, a dash and 64 letters and digits';
}
