import { readFileSync } from 'node:fs';
import { InvalidArgumentError, Option, type Command } from 'commander';
import * as z from 'zod';
import { SIM_RELEASES, type SimRelease } from '../api/contract.ts';
import { isRole } from '../auth/roles.ts';
import type { Address } from './array-server.ts';
import type { SimulatorOptions } from './launch.ts';

/** `HOST:PORT`, `[::1]:PORT` or `:PORT` (loopback). Errors: InvalidArgumentError. */
export function parseAddress(text: string): Address {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) throw new InvalidArgumentError('must be HOST:PORT, port 0 to 65535 (0 = a free one).');
  const host = match[1] ?? match[2] ?? '';
  return { host: host === '' ? '127.0.0.1' : host, port };
}

const UNITS: Readonly<Record<string, number>> = { '': 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3, T: 1024 ** 4, P: 1024 ** 5 };

/** `10T`, `500G`, bytes; 1 GiB to 8 PiB. Errors: InvalidArgumentError. */
export function parseSize(text: string): number {
  const match = /^(\d{1,16}(?:\.\d{1,3})?)([KMGTP]?)(?:i?B)?$/i.exec(text);
  const size = Math.floor(Number(match?.[1]) * (UNITS[(match?.[2] ?? '').toUpperCase()] ?? Number.NaN));
  if (!Number.isSafeInteger(size) || size < 1024 ** 3) throw new InvalidArgumentError('must be a size from 1G to 8P, such as 10T.');
  return size;
}

function parsePoolName(text: string): string {
  if (!/^[A-Za-z][A-Za-z0-9_.-]{0,49}$/.test(text)) throw new InvalidArgumentError('must be the name of a pool, such as tank.');
  return text;
}

function parseDataset(text: string): string {
  if (!/^[A-Za-z][A-Za-z0-9_.-]*(?:\/[A-Za-z0-9][A-Za-z0-9_.:-]*)+$/.test(text) || text.length > 200) {
    throw new InvalidArgumentError('must be a dataset below the pool, such as tank/proxmox.');
  }
  return text;
}

function parseTarget(text: string): string {
  if (!/^[-a-z0-9.:]{1,120}$/.test(text)) throw new InvalidArgumentError('must be lower-case letters, digits, dots, dashes, colons.');
  return text;
}

const optionsModel = z.object({
  release: z.enum(SIM_RELEASES),
  listen: z.object({ host: z.string(), port: z.int() }),
  plainListen: z.object({ host: z.string(), port: z.int() }).optional(),
  blocks: z.enum(['memory', 'tgt', 'lab']),
  vm: z.string().optional(),
  portal: z.array(z.object({ host: z.string(), port: z.int() })).default([{ host: '127.0.0.1', port: 0 }]),
  state: z.string().optional(),
  control: z.string().optional(),
  wireLog: z.string().optional(),
  readyJson: z.boolean().default(false),
  pool: z.string(),
  poolSize: z.number(),
  seedDataset: z.string().optional(),
  seedTarget: z.string(),
  empty: z.boolean().default(false),
  username: z.string().min(1).max(32),
  roles: z.string().optional(),
  apiKeyFile: z.string().optional(),
  passwordFile: z.string().optional(),
  revokeOnLoopback: z.boolean().default(false),
  insecureLoopbackKeepsKey: z.boolean().default(false),
  delays: z.boolean().default(true),
  verbose: z.boolean().default(false),
});

export interface RunOptions {
  readonly simulator: SimulatorOptions & { readonly release: SimRelease };
  readonly readyJson: boolean;
  readonly verbose: boolean;
}

function firstLine(file: string): string {
  return (readFileSync(file, 'utf8').split('\n', 1)[0] ?? '').trim();
}

function addPortal(text: string, before: readonly Address[] | undefined): readonly Address[] {
  return [...(before ?? []), parseAddress(text)];
}

/** The simulator's options on `command`. */
export function addRunOptions(command: Command): Command {
  const address = 'HOST:PORT';
  return command
    .addOption(new Option('--release <release>', 'which TrueNAS to be').choices(SIM_RELEASES).default('25.10'))
    .option(`--listen <${address}>`, 'HTTPS and WebSocket with a self-signed certificate', parseAddress, { host: '127.0.0.1', port: 0 })
    .option(`--plain-listen <${address}>`, 'also listen without TLS; keys sent there are revoked', parseAddress)
    .addOption(
      new Option(
        '--blocks <kind>',
        'what zvols are and what exports them: memory and nothing, files and tgtd, or ZFS and the kernel of a VM of the lab',
      )
        .choices(['memory', 'tgt', 'lab'])
        .default('memory'),
    )
    .option(`--portal <${address}>`, 'iSCSI portal, with --blocks lab an address inside the VM, there also more than once', addPortal)
    .option('--vm <dir>', 'with --blocks lab: the directory of the running VM, which has lab0.sock and so on')
    .option('--state <dir>', 'keep users, keys, certificate, objects and blocks here; survives a restart')
    .option('--control <path>', 'control socket for faults (default: in the state directory)')
    .option('--wire-log <file>', 'append every API call as a JSON line; secrets are masked')
    .option('--ready-json', 'print one line of JSON when up, and nothing else on standard output')
    .option('--pool <name>', 'name of the pool', parsePoolName, 'tank')
    .option('--pool-size <size>', 'size of the pool', parseSize, 10 * 1024 ** 4)
    .option('--seed-dataset <dataset>', 'dataset to begin with (default: <pool>/proxmox)', parseDataset)
    .option('--seed-target <name>', 'iSCSI target to begin with', parseTarget, 'proxmox')
    .option('--empty', 'begin with a pool only: no dataset, no target, no portal')
    .option('--username <name>', 'user that the API key belongs to', 'truenas_admin')
    .option('--roles <list>', "that user's roles, separated by commas (default: FULL_ADMIN)")
    .option('--api-key-file <file>', 'API key <id>-<64 letters and digits> to use; also in TRUENAS_SIM_API_KEY (default: a new one)')
    .option('--password-file <file>', 'password of the user; also in TRUENAS_SIM_PASSWORD (default: no password logins)')
    .addOption(
      new Option('--revoke-on-loopback', 'revoke keys sent to --plain-listen from loopback, too (default)').conflicts(
        'insecureLoopbackKeepsKey',
      ),
    )
    .option('--insecure-loopback-keeps-key', 'treat plain connections from loopback as secure, as TrueNAS does')
    .option('--no-delays', 'answer failed logins and rate-limited calls at once')
    .option('--verbose', 'say on standard error what happens');
}

/** Options as commander read them, with secrets from files and the environment. Errors: Error with a text for the user. */
export function runOptions(raw: unknown, environment: NodeJS.ProcessEnv): RunOptions {
  const given = optionsModel.parse(raw);
  const dataset = given.seedDataset ?? `${given.pool}/proxmox`;
  if (!dataset.startsWith(`${given.pool}/`)) throw new Error(`--seed-dataset ${dataset} is not below the pool ${given.pool}`);
  const roles = given.roles?.split(',').map((role) => role.trim());
  const unknown = (roles ?? []).filter((role) => !isRole(role));
  if (unknown.length > 0) throw new Error(`--roles: unknown roles ${unknown.join(', ')}`);
  if ((given.blocks === 'lab') !== (given.vm !== undefined)) throw new Error('--blocks lab and --vm DIR go together');
  const [portal, ...more] = given.portal;
  if (more.length > 0 && given.blocks !== 'lab') throw new Error('--portal more than once needs --blocks lab');
  if (more.some((one) => one.port !== portal?.port)) throw new Error('--portal: TrueNAS has one port for all its portals');
  const apiKey = given.apiKeyFile === undefined ? environment['TRUENAS_SIM_API_KEY'] : firstLine(given.apiKeyFile);
  const password = given.passwordFile === undefined ? environment['TRUENAS_SIM_PASSWORD'] : firstLine(given.passwordFile);
  return {
    readyJson: given.readyJson,
    verbose: given.verbose,
    simulator: {
      release: given.release,
      listen: given.listen,
      blocks: given.blocks,
      ...(given.vm === undefined ? {} : { vm: given.vm }),
      ...(portal === undefined ? {} : { portal, morePortals: more.map((one) => one.host) }),
      pool: { name: given.pool, size: given.poolSize },
      seed: given.empty ? null : { dataset, target: given.seedTarget },
      username: given.username,
      revokeOnLoopback: !given.insecureLoopbackKeepsKey,
      delays: given.delays,
      ...(given.plainListen === undefined ? {} : { plainListen: given.plainListen }),
      ...(given.state === undefined ? {} : { state: given.state }),
      ...(given.control === undefined ? {} : { control: given.control }),
      ...(given.wireLog === undefined ? {} : { wireLog: given.wireLog }),
      ...(roles === undefined ? {} : { roles }),
      ...(apiKey === undefined || apiKey === '' ? {} : { apiKey }),
      ...(password === undefined || password === '' ? {} : { password }),
    },
  };
}
