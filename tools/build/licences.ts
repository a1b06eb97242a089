import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';

/** Licences that may go into the shipped files: all let us pass the code on under MIT beside their own notice. */
export const ALLOWED_LICENCES: readonly string[] = ['MIT', 'ISC', 'Apache-2.0', 'BSD-2-Clause', 'BSD-3-Clause', '0BSD'];

export interface BundledPackage {
  readonly name: string;
  readonly version: string;
  readonly licence: string;
  /** The package's own licence and notice files, joined. */
  readonly text: string;
}

const manifest = z.object({ name: z.string(), version: z.string(), license: z.string() });

/** The folder of the package that a bundled file belongs to, or null for our own files. */
export function packageFolder(input: string): string | null {
  const match = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(input);
  return match?.[1] ?? null;
}

/**
 * The packages behind the inputs of esbuild's metafile, sorted by name.
 * Throws when one of them has no licence text or a licence that is not in ALLOWED_LICENCES.
 */
export async function bundledPackages(root: string, inputs: readonly string[]): Promise<readonly BundledPackage[]> {
  const folders = new Set(inputs.map(packageFolder).filter((folder) => folder !== null));
  const packages = await Promise.all([...folders].map((folder) => readPackage(join(root, folder))));
  return packages.sort((a, b) => (a.name < b.name ? -1 : 1));
}

async function readPackage(folder: string): Promise<BundledPackage> {
  const { name, version, license } = manifest.parse(JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')));
  if (!ALLOWED_LICENCES.includes(license)) throw new Error(`${name} ${version} has the licence ${license}: it may not be bundled`);
  const files = (await readdir(folder)).filter((file) => /^(licen[cs]e|copying|notice)([.-]|$)/i.test(file)).sort();
  const texts = await Promise.all(files.map((file) => readFile(join(folder, file), 'utf8')));
  // A few packages name their licence in package.json only.
  const text = texts.length > 0 ? texts.map((part) => part.trim()).join('\n\n') : `Licence: ${license} (the package holds no licence text)`;
  return { name, version, licence: license, text };
}

/** The text of dist/THIRD-PARTY-LICENSES.txt. */
export function thirdPartyNotice(packages: readonly BundledPackage[]): string {
  const head = `The programs of pve-truenas contain these ${packages.length} packages.\n`;
  const line = '-'.repeat(80);
  return [head, ...packages.map((entry) => `${line}\n${entry.name} ${entry.version} (${entry.licence})\n\n${entry.text}\n`)].join('\n');
}
