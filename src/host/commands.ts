import { spawn } from 'node:child_process';
import { StorageError } from '../core/errors.ts';
import type { Deadline } from '../core/ports.ts';
import { printable } from '../core/volume-name.ts';

export interface CommandOptions {
  /** The command is ended when it aborts; the call then fails with the signal's reason. */
  readonly deadline: Deadline;
  /** Text for the command's standard input; empty when left out. */
  readonly input?: string;
  /** Exit codes that are answers and not failures; default `[0]`. `'any'`: the caller judges. */
  readonly okExitCodes?: readonly number[] | 'any';
}

export interface CommandResult {
  /** At most OUTPUT_LIMIT bytes, as UTF-8. */
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number;
}

/**
 * Runs programs of this node. Arguments are an array and never meet a shell; they are visible to every user of the node (`ps`), so
 * no secret may be among them (law 10).
 */
export interface Commands {
  /** Errors: HOST_COMMAND (program missing, killed, or an exit code that is not expected), the deadline's reason. */
  run(argv: readonly string[], options: CommandOptions): Promise<CommandResult>;
}

/** More than any command here prints; what is beyond is dropped so that a mad program cannot eat the daemon's memory. */
const OUTPUT_LIMIT = 1024 * 1024;
/** After SIGTERM a program has this long (ms) before SIGKILL. */
const KILL_AFTER_MS = 1000;

/** Fixed: neither the caller's PATH nor its language decides what runs and how its answers read. */
const ENVIRONMENT = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C', LANG: 'C' } as const;

/** Which Debian package has the programs that we call. */
const PACKAGES: Readonly<Record<string, string>> = {
  iscsiadm: 'open-iscsi',
  multipath: 'multipath-tools',
  multipathd: 'multipath-tools',
  blockdev: 'util-linux',
  ip: 'iproute2',
  ping: 'iputils-ping',
  lvmconfig: 'lvm2',
  'qemu-io': 'pve-qemu-kvm',
  'iscsi-inq': 'libiscsi-bin',
  'iscsi-readcapacity16': 'libiscsi-bin',
  '/lib/udev/scsi_id': 'udev',
};

export class NodeCommands implements Commands {
  readonly #extraEnvironment: Readonly<Record<string, string>>;

  constructor(extraEnvironment: Readonly<Record<string, string>> = {}) {
    this.#extraEnvironment = extraEnvironment;
  }

  run(argv: readonly string[], options: CommandOptions): Promise<CommandResult> {
    const [program, ...args] = argv;
    if (program === undefined) return Promise.reject(new StorageError('INTERNAL', 'a command without a program'));
    const { signal } = options.deadline;
    if (signal.aborted) return Promise.reject(signal.reason as Error);
    return new Promise((resolve, reject) => {
      const child = spawn(program, args, { env: { ...ENVIRONMENT, ...this.#extraEnvironment }, stdio: ['pipe', 'pipe', 'pipe'], cwd: '/' });
      const stdout = collector();
      const stderr = collector();
      child.stdout.on('data', stdout.add);
      child.stderr.on('data', stderr.add);
      // A program that does not read its input closes the pipe early: that is its right.
      child.stdin.on('error', () => undefined);
      child.stdin.end(options.input ?? '');

      let killer: NodeJS.Timeout | undefined;
      const onAbort = (): void => {
        child.kill('SIGTERM');
        killer = setTimeout(() => child.kill('SIGKILL'), KILL_AFTER_MS);
        // A process in uninterruptible sleep survives even SIGKILL for a while; the caller does not wait for it.
        reject(signal.reason as Error);
      };
      signal.addEventListener('abort', onAbort, { once: true });
      const settle = (): void => {
        signal.removeEventListener('abort', onAbort);
        clearTimeout(killer);
      };
      child.on('error', (error) => {
        settle();
        reject(commandMissing(program, error));
      });
      child.on('close', (code, killedBy) => {
        settle();
        const result = { stdout: stdout.text(), stderr: stderr.text(), exitCode: code ?? -1 };
        const accepted = options.okExitCodes ?? [0];
        if (killedBy === null && (accepted === 'any' || accepted.includes(result.exitCode))) resolve(result);
        else reject(commandFailed(argv, result, killedBy));
      });
    });
  }
}

function collector(): { readonly add: (chunk: Buffer) => void; readonly text: () => string } {
  const chunks: Buffer[] = [];
  let size = 0;
  return {
    add: (chunk) => {
      const room = OUTPUT_LIMIT - size;
      if (room <= 0) return;
      chunks.push(chunk.subarray(0, room));
      size += Math.min(chunk.length, room);
    },
    text: () => Buffer.concat(chunks).toString('utf8'),
  };
}

/** The error of a program that could not be started at all. */
export function commandMissing(program: string, cause: Error): StorageError {
  const packageName = PACKAGES[program];
  const missing = 'code' in cause && cause.code === 'ENOENT';
  return new StorageError(
    'HOST_COMMAND',
    missing ? `${program} is not installed on this node` : `${program} could not be started: ${cause.message}`,
    {
      causes: missing ? [`the package ${packageName ?? 'that has it'} is missing`] : [],
      hints: packageName === undefined ? [] : [`apt install ${packageName}`],
      facts: { program },
      cause,
    },
  );
}

/** The error of a program that ran and failed. */
export function commandFailed(argv: readonly string[], result: CommandResult, killedBy: string | null): StorageError {
  const command = argv.join(' ');
  const how = killedBy === null ? `exit code ${result.exitCode}` : `killed by ${killedBy}`;
  const said = lastLine(result.stderr) || lastLine(result.stdout);
  return new StorageError('HOST_COMMAND', `${printable(argv[0] ?? '')} failed (${how})${said === '' ? '' : `: ${said}`}`, {
    hints: [command],
    facts: { command, exitCode: result.exitCode, stderr: result.stderr.slice(0, 2000) },
  });
}

/** The last line that says something, made safe for a message. */
export function lastLine(text: string): string {
  const lines = text.split('\n').map((line) => line.trim());
  const said = lines.filter((line) => line !== '').at(-1) ?? '';
  return said.replace(/[^\x20-\x7e]/g, '?').slice(0, 300);
}
