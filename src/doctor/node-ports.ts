import { readSecret } from '../config/secrets.ts';
import type { StorageConfig } from '../config/storage-config.ts';
import { StorageError } from '../core/errors.ts';
import { NO_METER } from '../core/metrics.ts';
import type { Clock, Deadline, Log } from '../core/ports.ts';
import { VERSION } from '../core/version.ts';
import { type Commands, NodeCommands } from '../host/commands.ts';
import { probePortal } from '../host/portal-probe.ts';
import { RootedFiles } from '../host/sys-files.ts';
import { Inventory } from '../inventory/inventory.ts';
import { createArray } from '../truenas/array.ts';
import type { Check } from '../volumes/inspect/check.ts';
import { inspect } from '../volumes/inspect/inspect.ts';
import { NodeNetwork } from './node-network.ts';
import type { AskDaemon, DoctorPorts } from './ports.ts';

interface NodePortsOptions {
  readonly clock: Clock;
  readonly node: string;
  readonly isRoot: boolean;
  /** Below which directory the node's files are; '/' but for a system that is mounted somewhere. */
  readonly root: string;
  readonly askDaemon: AskDaemon;
}

/** bytes; pmxcfs has no longer file */
const MAX_TEXT = 1024 * 1024;
const MAX_FILES = 10_000;

const SILENT: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined, child: () => SILENT };

/** This node as the doctor sees it. */
export function nodePorts({ clock, node, isRoot, root, askDaemon }: NodePortsOptions): DoctorPorts {
  const commands = new NodeCommands();
  const network = new NodeNetwork(commands);
  const base = root.replace(/\/+$/, '');
  const secret: DoctorPorts['secret'] = (id, name, section) => readSecret(`${base}/etc/pve/priv/storage`, id, name, section);
  return {
    clock,
    node,
    version: VERSION,
    nodeJs: process.version,
    isRoot,
    text: (path, deadline) => textOf(commands, `${base}${path}`, deadline),
    list: (directory, deadline) => filesBelow(commands, base, directory, deadline),
    sys: new RootedFiles(root),
    commands,
    network,
    askDaemon,
    secret,
    inspectArray: (config, section, deadline) =>
      inspectOnce(
        config,
        async () => secret(config.id, 'api_key', section),
        async () => secret(config.id, 'chap_password', section),
        clock,
        deadline,
      ),
  };
}

/** By a program of its own: a thread that waits for a cluster file system that hangs would keep this process from ending. */
async function textOf(commands: Commands, path: string, deadline: Deadline): Promise<string | null> {
  const { exitCode, stdout, stderr } = await commands.run(['head', '-c', String(MAX_TEXT), '--', path], { deadline, okExitCodes: 'any' });
  if (exitCode === 0) return stdout;
  if (/No such file or directory|Not a directory/.test(stderr)) return null;
  throw new Error(`${path}: ${/: ([A-Z][a-z ]+)$/.exec(stderr.trim())?.[1] ?? 'cannot be read'}`);
}

async function filesBelow(commands: Commands, base: string, directory: string, deadline: Deadline): Promise<readonly string[]> {
  const argv = ['find', `${base}${directory}`, '-type', 'f', '-print0'];
  const { exitCode, stdout, stderr } = await commands.run(argv, { deadline, okExitCodes: 'any' });
  if (exitCode !== 0 && !/No such file or directory/.test(stderr)) throw new Error(`${directory} cannot be read`);
  return stdout
    .split('\0')
    .filter((path) => path !== '')
    .slice(0, MAX_FILES)
    .map((path) => path.slice(base.length));
}

type ReadSecret = () => ReturnType<DoctorPorts['secret']>;

async function inspectOnce(
  config: StorageConfig,
  apiKey: ReadSecret,
  chapSecret: ReadSecret,
  clock: Clock,
  deadline: Deadline,
): Promise<readonly Check[]> {
  const key = (await apiKey())?.value;
  if (key === undefined) throw new StorageError('SECRET_MISSING', `storage '${config.id}' has no API key`);
  const array = createArray({ config, apiKey: () => Promise.resolve(key), clock, log: SILENT, meter: NO_METER });
  const inventory = new Inventory(array, clock, SILENT);
  try {
    const chap = async (): Promise<{ user: string; password: string } | null> => {
      if (config.chapUser === null) return null;
      const password = (await chapSecret())?.value;
      if (password === undefined) throw new StorageError('SECRET_MISSING', `storage '${config.id}' has chap_user but no chap_password`);
      return { user: config.chapUser, password };
    };
    return await inspect({ config, inventory, array, clock, chap, probePortal }, deadline);
  } finally {
    inventory.close();
    await array.close();
  }
}
