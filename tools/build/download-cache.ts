import { homedir } from 'node:os';
import { join } from 'node:path';

/**
 * Directory of the user, shared by all clones, for what set-up and tests download and no clone changes; setup.sh and the Makefile build
 * the same path. `make distclean` removes it. Source of the rule: XDG Base Directory Specification.
 */
export const DOWNLOADS = join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'pve-truenas-downloads');
