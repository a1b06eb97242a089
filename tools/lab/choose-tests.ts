import * as z from 'zod';

/** As `vitest list --json` tells: `name` is `describe > test`, `file` an absolute path. */
const listed = z.array(z.object({ name: z.string(), file: z.string() }));
export type ListedTest = z.infer<typeof listed>[number];

export interface Choice {
  /** Absolute paths. */
  readonly files: readonly string[];
  /** For `--testNamePattern`. */
  readonly pattern: string;
  readonly count: number;
}

export function parseTests(json: string): readonly ListedTest[] {
  return listed.parse(JSON.parse(json));
}

/** The tests whose name, or file's path below `folder`, has the word (or one of several with `|` between) in it, in whatever case. Errors: none has. */
export function chooseTests(tests: readonly ListedTest[], folder: string, word: string): Choice {
  const words = word.toLowerCase().split('|');
  const has = (text: string): boolean => words.some((one) => text.toLowerCase().includes(one));
  const below = (file: string): string => file.replace(`${folder}/`, '').replace(/\.test\.ts$/, '');
  const chosen = tests.filter(({ name, file }) => has(below(file)) || has(name));
  if (chosen.length === 0) {
    const files = [...new Set(tests.map(({ file }) => below(file)))].sort();
    throw new Error(`no test of the lab has "${word}" in its name or file; the files are: ${files.join(', ')}`);
  }
  const names = chosen.map(({ name }) => name.replaceAll(' > ', ' ').replace(/[.*+?^${}()|[\]\\/]/g, String.raw`\$&`));
  return { files: [...new Set(chosen.map(({ file }) => file))], pattern: `^(${names.join('|')})$`, count: chosen.length };
}
