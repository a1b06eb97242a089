import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import * as z from 'zod';

const ROOT = resolve(import.meta.dirname, '../..');

/** A house in which every rule is broken once. File → what it imports, or its whole text. */
const BROKEN: Readonly<Record<string, readonly string[]>> = {
  'src/core/words.ts': ['node:fs', '../config/schema.ts'],
  'src/config/schema.ts': ['../protocol/lines.ts'],
  'src/protocol/lines.ts': ['../truenas/wire/rows.ts'],
  'src/truenas/session.ts': ['../volumes/allocate.ts'],
  'src/truenas/wire/rows.ts': [],
  'src/host/iscsi.ts': ['../truenas/session.ts'],
  'src/observe/log.ts': ['../host/iscsi.ts'],
  'src/inventory/cache.ts': ['../truenas/session.ts'],
  'src/volumes/allocate.ts': ['../host/iscsi.ts', 'node:net'],
  'src/volumes/free.ts': ['../truenas/session.ts'],
  'src/daemon/main.ts': [
    '../cli/main.ts',
    '../observe/log.ts',
    '../inventory/cache.ts',
    '../volumes/free.ts',
    './parts/index.ts',
    './helper.ts',
  ],
  'src/daemon/helper.ts': [],
  'src/daemon/parts/index.ts': ['./a.ts'],
  'src/daemon/parts/a.ts': ['./b.ts'],
  'src/daemon/parts/b.ts': ['./a.ts', './utils/text.ts'],
  'src/daemon/parts/utils/text.ts': ['./a.test.ts', './absent.ts'],
  'src/daemon/parts/utils/a.test.ts': [],
  'src/cli/main.ts': ['../truenas/session.ts'],
  'src/cli/forgotten.ts': [],
  'sim/main.ts': ['../src/truenas/session.ts', '../src/truenas/wire/rows.ts', '../src/core/words.ts'],
};

/** Arrows that are allowed; no rule may fire here. */
const SOUND: Readonly<Record<string, readonly string[]>> = {
  'src/core/words.ts': [],
  'src/config/schema.ts': ['../core/words.ts'],
  'src/protocol/lines.ts': ['../core/words.ts'],
  'src/truenas/wire/rows.ts': ['../../core/words.ts'],
  'src/truenas/session.ts': ['./wire/rows.ts', '../config/schema.ts', '../protocol/lines.ts', 'node:tls'],
  'src/host/iscsi.ts': ['../core/words.ts', 'node:fs'],
  'src/observe/log.ts': ['../core/words.ts'],
  'src/inventory/cache.ts': ['../core/words.ts'],
  'src/volumes/allocate.ts': ['../inventory/cache.ts', '../observe/log.ts', '../core/words.ts'],
  'src/daemon/main.ts': ['../truenas/session.ts', '../host/iscsi.ts', '../volumes/allocate.ts'],
  'src/cli/main.ts': ['../protocol/lines.ts', '../config/schema.ts'],
  'sim/main.ts': ['../src/core/words.ts', 'type:../src/truenas/wire/rows.ts'],
};

const cruise = z.object({
  summary: z.object({ violations: z.array(z.object({ from: z.string(), to: z.string(), rule: z.object({ name: z.string() }) })) }),
});

async function violations(house: Readonly<Record<string, readonly string[]>>): Promise<readonly string[]> {
  const folder = await mkdtemp(join(tmpdir(), 'arrows-'));
  try {
    for (const [file, imports] of Object.entries(house)) {
      const lines = imports.map((target, n) =>
        target.startsWith('type:')
          ? `import type * as a${n} from '${target.slice(5)}';`
          : `import * as a${n} from '${target}'; console.log(a${n});`,
      );
      await mkdir(dirname(join(folder, file)), { recursive: true });
      await writeFile(join(folder, file), `${lines.join('\n')}\nexport const x = 1;\n`);
    }
    const args = [
      join(ROOT, 'node_modules/.bin/depcruise'),
      '--config',
      join(ROOT, '.dependency-cruiser.cjs'),
      '--output-type',
      'json',
      'src',
      'sim',
    ];
    const output = await new Promise<string>((done, failed) => {
      // Exit status = number of violations; only a missing report is a failure of the run.
      execFile(process.execPath, args, { cwd: folder, maxBuffer: 32 * 1024 * 1024 }, (error, stdout, stderr) => {
        if (stdout.startsWith('{')) done(stdout);
        else failed(new Error(stderr, { cause: error }));
      });
    });
    const found = cruise.parse(JSON.parse(output)).summary.violations;
    return [...new Set(found.map(({ rule, from, to }) => `${rule.name}: ${from}${from === to ? '' : ` -> ${to}`}`))].sort();
  } finally {
    await rm(folder, { recursive: true });
  }
}

describe('the arrows', () => {
  let broken: readonly string[] = [];
  let sound: readonly string[] = [];
  beforeAll(async () => {
    [broken, sound] = await Promise.all([violations(BROKEN), violations(SOUND)]);
  }, 300_000);

  it('let every allowed import pass', () => {
    expect(sound).toEqual([]);
  });

  it.each([
    'arrow-core: src/core/words.ts -> src/config/schema.ts',
    'core-is-pure: src/core/words.ts -> fs',
    'arrow-config: src/config/schema.ts -> src/protocol/lines.ts',
    'arrow-protocol: src/protocol/lines.ts -> src/truenas/wire/rows.ts',
    'arrow-truenas: src/truenas/session.ts -> src/volumes/allocate.ts',
    'arrow-host: src/host/iscsi.ts -> src/truenas/session.ts',
    'arrow-observe: src/observe/log.ts -> src/host/iscsi.ts',
    'arrow-inventory: src/inventory/cache.ts -> src/truenas/session.ts',
    'arrow-volumes: src/volumes/allocate.ts -> src/host/iscsi.ts',
    'arrow-volumes: src/volumes/free.ts -> src/truenas/session.ts',
    'volumes-have-no-io: src/volumes/allocate.ts -> net',
    'arrow-daemon: src/daemon/main.ts -> src/cli/main.ts',
    'arrow-cli: src/cli/main.ts -> src/truenas/session.ts',
    'arrow-sim: sim/main.ts -> src/truenas/session.ts',
    'sim-wire-types-only: sim/main.ts -> src/truenas/wire/rows.ts',
    'no-cycles: src/daemon/parts/a.ts -> src/daemon/parts/b.ts',
    'no-utils: src/daemon/parts/b.ts -> src/daemon/parts/utils/text.ts',
    'no-utils: src/daemon/main.ts -> src/daemon/helper.ts',
    'no-barrels: src/daemon/main.ts -> src/daemon/parts/index.ts',
    'tests-are-not-imported: src/daemon/parts/utils/text.ts -> src/daemon/parts/utils/a.test.ts',
    'resolvable: src/daemon/parts/utils/text.ts -> ./absent.ts',
    'no-orphans: src/cli/forgotten.ts',
  ])('forbid %s', (violation) => {
    expect(broken).toContain(violation);
  });
});
