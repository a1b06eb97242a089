/**
 * `make demo`: the whole road on this machine. Starts the bundled simulator and daemon, drives them through the real Perl
 * module, writes and reads real LUNs with QEMU's iSCSI initiator, and leaves nothing behind, also after Ctrl-C.
 * Exit status: 0 every step was right, 1 a step was wrong, 2 unusable arguments, 130 interrupted.
 */
import { accessSync, constants } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { Command, CommanderError, Option } from 'commander';
import * as z from 'zod';
import { Report } from './report.ts';
import { travel } from './road.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const DATA_PROGRAMS = ['tgtd', 'tgtadm', 'iscsi-ls', 'iscsi-readcapacity16', 'qemu-img', 'qemu-io', 'mkfs.ext4', 'debugfs'] as const;

const options = z.object({
  wireLog: z.string().min(1).optional(),
  blocks: z.enum(['auto', 'memory', 'tgt']),
  release: z.enum(['25.04', '25.10']),
});

/** Why real LUNs are not possible here; null when they are. */
function whyNoData(): string | null {
  const missing = DATA_PROGRAMS.filter((program) => !onPath(program));
  if (missing.length > 0) return `${missing.join(', ')} not installed (make setup)`;
  return process.getuid?.() === 0 ? null : 'real LUNs need root';
}

function onPath(program: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

async function demo(given: z.infer<typeof options>): Promise<number> {
  const interrupted = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (!interrupted.signal.aborted) console.log(`\n${signal}: cleaning up`);
      interrupted.abort(new Error(`interrupted by ${signal}`));
    });
  }
  // A closed pipe (`make demo | head`) ends the demo like Ctrl-C does.
  process.stdout.on('error', () => interrupted.abort(new Error('nobody reads the output')));
  const colour = process.stdout.isTTY && process.env['NO_COLOR'] === undefined;
  const report = new Report((line) => console.log(line), colour, interrupted.signal);
  const reason = given.blocks === 'memory' ? 'memory-backed volumes were asked for' : whyNoData();
  if (given.blocks === 'tgt' && reason !== null) throw new Error(`--blocks tgt: ${reason}`);
  const wireLog = given.wireLog === undefined ? null : resolve(given.wireLog);
  if (wireLog !== null) await rm(wireLog, { force: true });

  const folder = await mkdtemp(join(tmpdir(), 'pve-truenas-demo-'));
  let status = 0;
  try {
    await travel({ root: ROOT, folder, wireLog, noData: reason, release: given.release, report, signal: interrupted.signal });
  } catch (error) {
    status = interrupted.signal.aborted ? 130 : 1;
    if (status === 1) console.error(`\n${error instanceof Error ? error.message : String(error)}`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  if (status === 130) return status;
  report.summary();
  if (wireLog !== null) {
    const calls = (await readFile(wireLog, 'utf8')).split('\n').filter((line) => line !== '').length;
    console.log(`${calls} API calls are in ${wireLog}`);
  }
  return status;
}

async function main(): Promise<number> {
  process.env['PATH'] = `${process.env['PATH'] ?? ''}${delimiter}/usr/local/sbin${delimiter}/usr/sbin${delimiter}/sbin`;
  const command = new Command('demo')
    .description('Walks the whole road from the Perl module to bytes on a LUN, against the built-in simulator')
    .option('--wire-log <file>', 'keep the log of all API calls, one JSON object a line')
    .addOption(new Option('--blocks <kind>', 'auto: real LUNs where possible').choices(['auto', 'memory', 'tgt']).default('auto'))
    .addOption(new Option('--release <release>', 'which TrueNAS to be').choices(['25.04', '25.10']).default('25.10'))
    .allowExcessArguments(false)
    .exitOverride();
  try {
    command.parse();
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    throw error;
  }
  return demo(options.parse(command.opts()));
}

process.exitCode = await main();
