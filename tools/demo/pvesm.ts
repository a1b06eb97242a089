import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import { run } from './commands.ts';
import type { DaemonPaths } from './processes.ts';

const listed = z.array(z.object({ volid: z.string(), size: z.int(), vmid: z.coerce.number() }));
const statuses = z.record(z.string(), z.object({ active: z.coerce.number(), total: z.int(), avail: z.int(), used: z.int() }));

export interface ListedVolume {
  readonly volume: string;
  /** bytes */
  readonly size: number;
}

/** One storage as PVE uses it: each operation is a Perl process of its own that calls the real storage plugin module. */
export class Pvesm {
  private readonly program: readonly string[];
  private readonly folder: string;
  private readonly storage: string;
  private readonly signal: AbortSignal;

  constructor(root: string, paths: DaemonPaths, storage: string, signal: AbortSignal) {
    this.program = [
      join(root, 'perl/t/bin/pvesm-lite'),
      ...['--storage-cfg', paths.storageCfg, '--priv-dir', paths.privDir, '--run-dir', paths.runDir],
      ...['--link-dir', paths.linkDir, '--socket', paths.socket, '--node', 'demo-node', '--json'],
    ];
    this.folder = paths.stateDir;
    this.storage = storage;
    this.signal = signal;
  }

  /** `key` goes by a file: on the command line every user of the machine could read it. Gives the warnings, if any. */
  async add(settings: Readonly<Record<string, string>>, key: string): Promise<string> {
    const file = join(this.folder, 'key-for-add');
    await writeFile(file, `${key}\n`, { mode: 0o600 });
    const flags = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
    const { stderr } = await this.perl(['add', this.storage, ...flags, '--api_key-file', file]);
    return stderr.trim();
  }

  /** bytes */
  async status(): Promise<{ active: boolean; available: number }> {
    const mine = statuses.parse(await this.json(['status', this.storage]))[this.storage];
    return { active: mine?.active === 1, available: mine?.avail ?? 0 };
  }

  /** `size` in bytes, a multiple of 1024. Gives the volume's name. */
  async allocate(vmid: number, name: string, size: number): Promise<string> {
    const volid = z.string().parse(await this.json(['alloc', this.storage, String(vmid), name, String(size / 1024)]));
    if (!volid.startsWith(`${this.storage}:`)) throw new Error(`not a volume of this storage: ${volid}`);
    return volid.slice(this.storage.length + 1);
  }

  async list(): Promise<readonly ListedVolume[]> {
    const volumes = listed.parse(await this.json(['list', this.storage]));
    return volumes.map(({ volid, size }) => ({ volume: volid.slice(this.storage.length + 1), size }));
  }

  async path(volume: string): Promise<string> {
    return z.string().parse(await this.json(['path', this.id(volume)]));
  }

  activate(volume: string): Promise<void> {
    return this.done(['activate', this.id(volume)]);
  }

  deactivate(volume: string): Promise<void> {
    return this.done(['deactivate', this.id(volume)]);
  }

  snapshot(volume: string, name: string): Promise<void> {
    return this.done(['snapshot', this.id(volume), name]);
  }

  rollback(volume: string, name: string): Promise<void> {
    return this.done(['rollback', this.id(volume), name]);
  }

  deleteSnapshot(volume: string, name: string): Promise<void> {
    return this.done(['delsnapshot', this.id(volume), name]);
  }

  /** `size` in bytes */
  resize(volume: string, size: number): Promise<void> {
    return this.done(['resize', this.id(volume), String(size)]);
  }

  free(volume: string): Promise<void> {
    return this.done(['free', this.id(volume)]);
  }

  remove(): Promise<void> {
    return this.done(['remove', this.storage]);
  }

  private id(volume: string): string {
    return `${this.storage}:${volume}`;
  }

  private perl(argv: readonly string[]): Promise<{ stdout: string; stderr: string }> {
    // -T: pvedaemon and pveproxy run the module that way
    return run(['perl', '-T', ...this.program, ...argv], { signal: this.signal });
  }

  private async json(argv: readonly string[]): Promise<unknown> {
    return JSON.parse((await this.perl(argv)).stdout);
  }

  private async done(argv: readonly string[]): Promise<void> {
    await this.perl(argv);
  }
}
