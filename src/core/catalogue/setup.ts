import { type CatalogueEntry, entry } from './entry.ts';

/** What stops `pve-truenas setup`. */
export const SETUP_ERRORS = {
  SETUP_ANSWERS: entry(
    'invalid',
    'The answers for setup cannot be used',
    ['an answer is missing or wrong', 'the file is no YAML, or has a name that setup does not know'],
    ['pve-truenas setup --help', 'docs/examples/answers.yaml'],
  ),
  SETUP_REFUSED: entry(
    'conflict',
    'Setup would have to change what others made, or lacks what it builds on',
    ['an object of the same name was made by somebody else', 'the pool or an address is not there', 'the administrator lacks a role'],
    ['give another name in the answers', 'pve-truenas setup --check'],
  ),
  SETUP_INTERRUPTED: entry(
    'refused',
    'Setup was interrupted',
    ['Ctrl-C or SIGTERM'],
    ['pve-truenas setup again'],
    'what this run had made was taken back, in reverse order, unless the message says otherwise',
  ),
  SETUP_PROBE: entry(
    'refused',
    'The probe disk of setup did not hold what was written to it',
    ['another device answered', 'TrueNAS or the network loses data'],
    ['pve-truenas health', 'do not use this storage before the reason is found'],
    'the storage stays; the probe disk was freed',
  ),
} as const satisfies Record<string, CatalogueEntry>;
