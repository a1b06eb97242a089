import { Option } from 'commander';
import * as z from 'zod';
import { hasError } from '../../config/config-invalid.ts';
import { parseFileSection } from '../../config/file-section.ts';
import { STORAGE_TYPE } from '../../config/schema.ts';
import { readStorageCfg, type StorageSection } from '../../config/storage-cfg.ts';
import type { ConfigFault } from '../../config/storage-config.ts';
import type { CommandDefinition } from '../command.ts';
import { EXIT, type ExitCode } from '../io.ts';
import { clean, type Colours, stateWord } from '../render/text.ts';
import { type CommandContext, type CommandRun, putJson } from './context.ts';
import { probe } from './probe-storage.ts';
import { readConfig } from './read-config.ts';

export const STORAGE_CFG = '/etc/pve/storage.cfg';

interface Checked {
  readonly id: string;
  /** false: the storage does not work with these settings */
  readonly ok: boolean;
  readonly faults: readonly ConfigFault[];
}

const json = z.object({
  storages: z.array(
    z.object({
      id: z.string(),
      ok: z.boolean().describe('false when a fault is an error'),
      faults: z.array(
        z.object({ setting: z.string(), severity: z.enum(['error', 'warning', 'hint']), message: z.string(), cure: z.string() }),
      ),
    }),
  ),
  lines: z.array(z.object({ line: z.int(), message: z.string() })).describe('lines of the file that PVE passes over'),
});

export const configCheckCommand: CommandDefinition = {
  path: 'config check',
  group: 'Check:',
  description:
    'Judges all settings of the storages in storage.cfg. It changes nothing and needs neither daemon nor network. With --online the daemon also looks at secrets and at TrueNAS: key and roles, pool, dataset, target, service, portals.',
  exits: { 0: 'all is fine', 1: 'warnings', 2: 'errors, or TrueNAS could not be asked' },
  examples: [
    { line: 'config check', what: "this node's storage.cfg" },
    { line: 'config check --online', what: 'and whether TrueNAS has what it names' },
    { line: 'config check --file new.cfg --json', what: 'another file, before it is put in place' },
  ],
  json,
  build: (command, runner) =>
    command
      .addOption(new Option('--file <STORAGE.CFG>', 'file to judge').default(STORAGE_CFG))
      .option('--online', 'ask TrueNAS, too; secrets are those that the daemon knows for the storage')
      .action((options: { file: string; online?: true }) => runner(command, configCheck(options.file, options.online === true))),
};

function configCheck(file: string, online: boolean): CommandRun {
  return async (context) => {
    const { io, colours } = context;
    const { sections, warnings } = readStorageCfg(await readConfig(file));
    const ours = sections.filter((section) => section.type === STORAGE_TYPE);
    const storages = await Promise.all(ours.map((section) => checked(section, online ? context : null)));
    const lines = warnings
      .filter((warning) => warning.type === null || warning.type === STORAGE_TYPE)
      .map(({ line, message }) => ({ line, message }));
    if (context.json) putJson(io, { storages, lines });
    else io.out(render(file, storages, lines, colours));
    return exitOf(storages, lines.length);
  };
}

/** `context`: where the daemon is, null for the settings alone. */
async function checked(section: StorageSection, context: CommandContext | null): Promise<Checked> {
  const { faults } = parseFileSection(section);
  const all = context === null ? faults : withoutTwins([...faults, ...(await probe(context.daemon, section))]);
  return { id: section.id, ok: !hasError(all), faults: all };
}

/** The daemon judges the settings again: what both found stands there once. */
function withoutTwins(faults: readonly ConfigFault[]): readonly ConfigFault[] {
  const seen = new Set<string>();
  return faults.filter((fault) => {
    const key = JSON.stringify([fault.setting, fault.message]);
    const fresh = !seen.has(key);
    seen.add(key);
    return fresh;
  });
}

function exitOf(storages: readonly Checked[], lines: number): ExitCode {
  if (storages.some((storage) => !storage.ok)) return EXIT.critical;
  return lines > 0 || storages.some((storage) => stateOf(storage) === 'warning') ? EXIT.warning : EXIT.healthy;
}

/** Hints are no reason to do anything now. */
function stateOf({ ok, faults }: Checked): 'ok' | 'warning' | 'error' {
  if (!ok) return 'error';
  return faults.some((fault) => fault.severity === 'warning') ? 'warning' : 'ok';
}

function render(file: string, storages: readonly Checked[], lines: readonly { line: number; message: string }[], colours: Colours): string {
  const shown = storages.flatMap((storage) => [
    `${colours.bold(clean(storage.id))}: ${stateWord(colours, stateOf(storage))}`,
    ...storage.faults.flatMap((fault) => [
      `  ${stateWord(colours, fault.severity)}${' '.repeat(9 - fault.severity.length)}${clean(fault.setting)}: ${clean(fault.message)}`,
      `           cure: ${clean(fault.cure)}`,
    ]),
  ]);
  if (storages.length === 0) shown.push(`no storage of type ${STORAGE_TYPE} in ${clean(file)}`);
  return [...shown, ...lines.map(({ line, message }) => `${clean(file)} line ${line}: ${clean(message)}`), ''].join('\n');
}
