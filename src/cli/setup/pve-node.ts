import { createHash } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import * as z from 'zod';
import { readSecret } from '../../config/secrets.ts';
import { STORAGE_TYPE } from '../../config/schema.ts';
import { parseStorageCfg, type StorageSection } from '../../config/storage-cfg.ts';
import { StorageError } from '../../core/errors.ts';
import { type RunProgram, runProgram, wordsOf } from './run-program.ts';

const members = z.looseObject({
  nodename: z.string(),
  cluster: z.looseObject({ name: z.string() }).optional(),
  nodelist: z.record(z.string(), z.unknown()).optional(),
});

const vmid = z.coerce.number().int().min(100).max(999_999_999);
const vmlist = z.looseObject({ ids: z.record(z.string(), z.unknown()) });

export interface Cluster {
  /** Name of the cluster, or of its only node, and a few digits: half of all single nodes are called pve. */
  readonly name: string;
  readonly node: string;
  readonly nodes: readonly string[];
}

/** ms for one command of PVE; adding a storage logs in to TrueNAS */
const COMMAND_MS = 120_000;

/** PVE as setup touches it: its files below /etc/pve, and its API by `pvesh`. */
export class PveNode {
  readonly #directory: string;
  readonly #run: RunProgram;

  constructor(directory: string, run: RunProgram = runProgram) {
    this.#directory = directory;
    this.#run = run;
  }

  /** Name and nodes of the cluster; of a single node its own. */
  async cluster(): Promise<Cluster> {
    const own = hostname().split('.')[0] ?? 'pve';
    const text = await readOrNull(join(this.#directory, '.members'));
    const parsed = text === null ? null : members.safeParse(parseJson(text));
    if (parsed?.success === true) {
      const { nodename, cluster, nodelist } = parsed.data;
      const nodes = Object.keys(nodelist ?? { [nodename]: {} }).sort();
      return { name: await this.#unique(cluster?.name ?? nodename), node: nodename, nodes };
    }
    const nodes = await readdir(join(this.#directory, 'nodes')).catch(() => [own]);
    return { name: await this.#unique(own), node: own, nodes: nodes.length === 0 ? [own] : nodes.sort() };
  }

  /** Every cluster has a CA of its own from its first day on. */
  async #unique(name: string): Promise<string> {
    const authority = await readOrNull(join(this.#directory, 'pve-root-ca.pem'));
    return authority === null ? name : `${name}-${createHash('sha256').update(authority).digest('hex').slice(0, 6)}`;
  }

  /** IQN of this node, null where none is set. */
  async initiator(): Promise<string | null> {
    const text = await readOrNull('/etc/iscsi/initiatorname.iscsi');
    return /^\s*InitiatorName\s*=\s*(\S+)\s*$/m.exec(text ?? '')?.[1] ?? null;
  }

  /** NQN of this node, null where none is set. */
  async hostNqn(): Promise<string | null> {
    const text = ((await readOrNull('/etc/nvme/hostnqn')) ?? '').trim();
    return text === '' ? null : text;
  }

  async section(storage: string): Promise<StorageSection | null> {
    return (await this.#sections()).find(({ id }) => id === storage) ?? null;
  }

  async storages(): Promise<readonly string[]> {
    return (await this.#sections()).map(({ id }) => id);
  }

  async #sections(): Promise<readonly StorageSection[]> {
    return parseStorageCfg((await readOrNull(join(this.#directory, 'storage.cfg'))) ?? '');
  }

  /** Where the key of a storage lies. */
  keyFile(storage: string): string {
    return join(this.#directory, 'priv/storage', `${storage}.api_key`);
  }

  /** The key that the node has for this storage. */
  async key(storage: string): Promise<string | null> {
    return (await readSecret(join(this.#directory, 'priv/storage'), storage, 'api_key'))?.value ?? null;
  }

  /** Keeps the key where the daemon looks for it; 0600 from the first byte on. null: removes it. */
  async keepKey(storage: string, key: string | null): Promise<void> {
    const path = this.keyFile(storage);
    if (key === null) return rm(path, { force: true });
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const file = await open(`${path}.setup`, 'w', 0o600);
    try {
      await file.writeFile(`${key}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(`${path}.setup`, path);
  }

  /** The key is not among the settings: arguments are visible to every user of the node (law 10). */
  async addStorage(storage: string, settings: Readonly<Record<string, string>>): Promise<void> {
    const args = addArguments(storage, settings);
    await this.#pve(args, ['add', STORAGE_TYPE, storage, ...args.slice(args.indexOf(STORAGE_TYPE) + 1)]);
  }

  async removeStorage(storage: string): Promise<void> {
    await this.#pve(['delete', `/storage/${storage}`], ['remove', storage]);
  }

  /** A VMID that no guest has. */
  async freeVmid(): Promise<number> {
    const text = await this.#pve(['get', '/cluster/nextid', '--output-format', 'json'], null);
    if (text !== null) return vmid.parse(text.trim().replace(/"/g, ''));
    const list = vmlist.safeParse(parseJson((await readOrNull(join(this.#directory, '.vmlist'))) ?? ''));
    const taken = list.success ? Object.keys(list.data.ids).map(Number) : [];
    return Array.from({ length: taken.length + 1 }, (_, index) => 100 + index).find((id) => !taken.includes(id)) ?? 100;
  }

  /**
   * By `pvesh`, or by `pvesm` where a node has the storage part of PVE alone: both are the same API. Null where there is neither.
   * Errors: HOST_COMMAND with what it wrote.
   */
  async #pve(args: readonly string[], instead: readonly string[] | null): Promise<string | null> {
    try {
      return await this.#output('pvesh', args);
    } catch (error) {
      const cause = error instanceof StorageError ? error.cause : null;
      if (!(cause instanceof Error && 'code' in cause && cause.code === 'ENOENT')) throw error;
      return instead === null ? null : this.#output('pvesm', instead);
    }
  }

  async #output(program: string, args: readonly string[]): Promise<string> {
    const result = await this.#run(program, args, COMMAND_MS);
    if (result.exitCode === 0) return result.stdout;
    throw new StorageError('HOST_COMMAND', `${program} ${args.slice(0, 2).join(' ')}: ${wordsOf(result)}`);
  }
}

/** What `pvesh` is given to add the storage; shown by a dry run too. */
export function addArguments(storage: string, settings: Readonly<Record<string, string>>): readonly string[] {
  const flags = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
  return ['create', '/storage', '--storage', storage, '--type', STORAGE_TYPE, ...flags];
}

async function readOrNull(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw new StorageError('CONFIG_INVALID', `${path} cannot be read`, { cause: error });
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
