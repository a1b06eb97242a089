import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { SETTINGS } from '../../src/config/schema.ts';
import { renderSchema, replaceGenerated } from './render.ts';

/**
 * Writes the settings of src/config/schema.ts into the Perl module, between its two marks.
 *   npx tsx tools/perl-schema/generate.ts            write
 *   npx tsx tools/perl-schema/generate.ts --check    exit 1 when the module is stale, change nothing
 */
const MODULE = fileURLToPath(new URL('../../perl/PVE/Storage/Custom/TrueNASPlugin.pm', import.meta.url));

function main(args: readonly string[]): number {
  const unknown = args.find((arg) => arg !== '--check');
  if (unknown !== undefined) {
    process.stderr.write(`unknown argument '${unknown}'\nusage: generate.ts [--check]\n`);
    return 3;
  }
  const before = readFileSync(MODULE, 'utf8');
  const after = replaceGenerated(before, renderSchema(SETTINGS));
  if (after === before) return 0;
  if (args.includes('--check')) {
    process.stderr.write('The schema in TrueNASPlugin.pm is stale: npx tsx tools/perl-schema/generate.ts\n');
    return 1;
  }
  writeFileSync(MODULE, after);
  process.stdout.write(`${MODULE}: schema written\n`);
  return 0;
}

process.exitCode = main(process.argv.slice(2));
