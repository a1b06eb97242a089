import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { Option } from 'commander';
import { z } from 'zod';
import { parseSection } from '../../config/parse-section.ts';
import { STORAGE_TYPE } from '../../config/schema.ts';
import { readStorageCfg } from '../../config/storage-cfg.ts';
import type { ConfigFault } from '../../config/storage-config.ts';
import type { CommandDefinition } from '../command.ts';
import { failure } from '../failure.ts';
import { EXIT, type ExitCode } from '../io.ts';
import { clean, type Colours, stateWord } from '../render/text.ts';
import { type CommandRun, putJson } from './context.ts';

export const STORAGE_CFG = '/etc/pve/storage.cfg';
/** pmxcfs keeps no larger file */
const MAX_BYTES = 1024 * 1024;

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
      faults: z.array(z.object({ setting: z.string(), severity: z.enum(['error', 'warning']), message: z.string(), cure: z.string() })),
    }),
  ),
  lines: z.array(z.object({ line: z.int(), message: z.string() })).describe('lines of the file that PVE passes over'),
});

export const configCheckCommand: CommandDefinition = {
  path: 'config check',
  group: 'Check:',
  description: 'Judges all settings of the storages in storage.cfg. It needs neither daemon nor network.',
  exits: { 0: 'all is fine', 1: 'warnings', 2: 'errors' },
  examples: [
    { line: 'config check', what: "this node's storage.cfg" },
    { line: 'config check --file new.cfg --json', what: 'another file, before it is put in place' },
  ],
  json,
  build: (command, runner) =>
    command
      .addOption(new Option('--file <STORAGE.CFG>', 'file to judge').default(STORAGE_CFG))
      .action((options: { file: string }) => runner(command, configCheck(options.file))),
};

/** `config check`: judges the sections of our type in a file, without daemon and network. 0 fine, 1 warnings, 2 errors. */
function configCheck(file: string): CommandRun {
  return async ({ io, json, colours }) => {
    const { sections, warnings } = readStorageCfg(await readText(file));
    const storages: readonly Checked[] = sections
      .filter((section) => section.type === STORAGE_TYPE)
      .map((section) => {
        const { config, faults } = parseSection(section.id, section.properties);
        return { id: section.id, ok: config !== null, faults };
      });
    const lines = warnings
      .filter((warning) => warning.type === null || warning.type === STORAGE_TYPE)
      .map(({ line, message }) => ({ line, message }));
    if (json) putJson(io, { storages, lines });
    else io.out(render(file, storages, lines, colours));
    return exitOf(storages, lines.length);
  };
}

function exitOf(storages: readonly Checked[], lines: number): ExitCode {
  if (storages.some((storage) => !storage.ok)) return EXIT.critical;
  return lines > 0 || storages.some((storage) => storage.faults.length > 0) ? EXIT.warning : EXIT.healthy;
}

function render(file: string, storages: readonly Checked[], lines: readonly { line: number; message: string }[], colours: Colours): string {
  const shown = storages.flatMap((storage) => [
    `${colours.bold(clean(storage.id))}: ${stateWord(colours, storage.ok ? (storage.faults.length > 0 ? 'warning' : 'ok') : 'error')}`,
    ...storage.faults.flatMap((fault) => [
      `  ${stateWord(colours, fault.severity)}  ${clean(fault.setting)}: ${clean(fault.message)}`,
      `           cure: ${clean(fault.cure)}`,
    ]),
  ]);
  if (storages.length === 0) shown.push(`no storage of type ${STORAGE_TYPE} in ${clean(file)}`);
  return [...shown, ...lines.map(({ line, message }) => `${clean(file)} line ${line}: ${clean(message)}`), ''].join('\n');
}

/** The whole file as text. Errors: CONFIG_INVALID as CliFailure (exit 3) when it is none or cannot be read. */
async function readText(path: string): Promise<string> {
  const unreadable = (why: string) =>
    failure('CONFIG_INVALID', `${clean(path)} cannot be read: ${why}`, {
      causes: [],
      hints: ['pve-truenas config check --file STORAGE.CFG'],
    });
  if (path === '' || path.includes('\0')) throw unreadable('it is not a path');
  // non-blocking: a pipe without a writer is refused instead of waited for
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((error: unknown) => {
    throw unreadable(error instanceof Error && 'code' in error ? String(error.code) : 'unknown error');
  });
  try {
    if (!(await file.stat()).isFile()) throw unreadable('it is not a regular file');
    const buffer = Buffer.alloc(MAX_BYTES + 1);
    let length = 0;
    for (;;) {
      const { bytesRead } = await file.read(buffer, length, buffer.length - length, length);
      length += bytesRead;
      if (bytesRead === 0 || length > MAX_BYTES) break;
    }
    if (length > MAX_BYTES) throw unreadable('it is longer than 1 MiB');
    const text = buffer.toString('utf8', 0, length);
    if (text.includes('\0')) throw unreadable('it is no text');
    return text;
  } finally {
    await file.close();
  }
}
