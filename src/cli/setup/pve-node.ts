import { execFile } from 'node:child_process';
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { readSecret } from '../../config/secrets.ts';
import { parseStorageCfg, type StorageSection } from '../../config/storage-cfg.ts';
import { StorageError } from '../../core/errors.ts';
import { printable } from '../../core/volume-name.ts';

const members = z.looseObject({
  nodename: z.string(),
  cluster: z.looseObject({ name: z.string() }).optional(),
  nodelist: z.record(z.string(), z.unknown()).optional(),
});

export interface Cluster {
  readonly name: string;
  readonly node: string;
  readonly nodes: readonly string[];
}

/** ms for one command of PVE; adding a storage logs in to TrueNAS */
const COMMAND_MS = 120_000;

/** PVE as setup touches it: its files below /etc/pve, and its API by `pvesh`. */
export class PveNode {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Name and nodes of the cluster; of a single node its own. */
  async cluster(): Promise<Cluster> {
    const own = hostname().split('.')[0] ?? 'pve';
    const text = await readOrNull(join(this.#directory, '.members'));
    const parsed = text === null ? null : members.safeParse(parseJson(text));
    if (parsed?.success === true) {
      const { nodename, cluster, nodelist } = parsed.data;
      return { name: cluster?.name ?? nodename, node: nodename, nodes: Object.keys(nodelist ?? { [nodename]: {} }).sort() };
    }
    const nodes = await readdir(join(this.#directory, 'nodes')).catch(() => [own]);
    return { name: own, node: own, nodes: nodes.length === 0 ? [own] : nodes.sort() };
  }

  /** IQN of this node, null where none is set. */
  async initiator(): Promise<string | null> {
    const text = await readOrNull('/etc/iscsi/initiatorname.iscsi');
    return /^\s*InitiatorName\s*=\s*(\S+)\s*$/m.exec(text ?? '')?.[1] ?? null;
  }

  async section(storage: string): Promise<StorageSection | null> {
    const text = (await readOrNull(join(this.#directory, 'storage.cfg'))) ?? '';
    return parseStorageCfg(text).find(({ id }) => id === storage) ?? null;
  }

  /** The key that the node has for this storage. */
  async key(storage: string): Promise<string | null> {
    return (await readSecret(join(this.#directory, 'priv/storage'), storage, 'api_key'))?.value ?? null;
  }

  /** Keeps the key where the daemon looks for it; 0600 from the first byte on. */
  async keepKey(storage: string, key: string): Promise<void> {
    const directory = join(this.#directory, 'priv/storage');
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const path = join(directory, `${storage}.api_key`);
    const file = await open(`${path}.setup`, 'w', 0o600);
    try {
      await file.writeFile(`${key}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(`${path}.setup`, path);
  }

  async dropKey(storage: string): Promise<void> {
    await rm(join(this.#directory, 'priv/storage', `${storage}.api_key`), { force: true });
  }

  /** The key is not among the settings: arguments are visible to every user of the node (law 10). */
  async addStorage(storage: string, settings: Readonly<Record<string, string>>): Promise<void> {
    await pvesh([...addArguments(storage, settings)]);
  }

  async removeStorage(storage: string): Promise<void> {
    await pvesh(['delete', `/storage/${storage}`]);
  }

  /** A VMID that no guest has. */
  async freeVmid(): Promise<number> {
    const text = (await pvesh(['get', '/cluster/nextid', '--output-format', 'json'])).trim().replace(/"/g, '');
    return z.coerce.number().int().min(100).max(999_999_999).parse(text);
  }
}

/** What `pvesh` is given to add the storage; shown by a dry run too. */
export function addArguments(storage: string, settings: Readonly<Record<string, string>>): readonly string[] {
  const flags = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
  return ['create', '/storage', '--storage', storage, '--type', 'truenasplugin', ...flags];
}

function pvesh(args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile('pvesh', [...args], { timeout: COMMAND_MS, env: { ...process.env, LC_ALL: 'C' } }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else {
        const why = stderr.trim() === '' ? error.message : stderr.trim();
        reject(
          new StorageError('HOST_COMMAND', `pvesh ${args.slice(0, 2).join(' ')}: ${why.split('\n').map(printable).join('\n')}`, {
            cause: error,
          }),
        );
      }
    });
  });
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
