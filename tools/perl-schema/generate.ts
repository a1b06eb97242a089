import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { SETTINGS } from '../../src/config/schema.ts';
import { ERROR_CATALOGUE } from '../../src/core/error-catalogue.ts';
import { generateInto } from './render.ts';

/**
 * Writes the settings of src/config/schema.ts and the advice of src/core/error-catalogue.ts into the Perl module, between its marks.
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
  const after = generateInto(before, SETTINGS, ERROR_CATALOGUE);
  if (after === before) return 0;
  if (args.includes('--check')) {
    process.stderr.write('What is generated in TrueNASPlugin.pm is stale: npx tsx tools/perl-schema/generate.ts\n');
    return 1;
  }
  writeFileSync(MODULE, after);
  process.stdout.write(`${MODULE}: schema and advice written\n`);
  return 0;
}

process.exitCode = main(process.argv.slice(2));
