import type { Command } from 'commander';
import { DEFAULT_SOCKET } from '../../protocol/envelope.ts';
import { failure } from '../failure.ts';
import type { CliIo, ExitCode } from '../io.ts';
import { coloursFor, type Colours } from '../render/text.ts';
import type { DaemonAddress } from '../socket-client.ts';

/** What a command gets: where to ask, how to show, and where to leave its exit code. */
export interface CommandContext {
  readonly io: CliIo;
  readonly colours: Colours;
  readonly json: boolean;
  readonly daemon: DaemonAddress;
}

/** A command's work; its exit code is the program's. */
export type CommandRun = (context: CommandContext) => Promise<ExitCode>;

interface GlobalOptions {
  readonly socket?: string;
  readonly timeout: number;
  readonly json?: true;
  readonly color: boolean;
}

/** Linux: sun_path holds 107 bytes and a NUL. */
const MAX_SOCKET_PATH = 107;

/** Reads the global options as they stand for `command`. Errors: BAD_REQUEST as CliFailure. */
export function contextOf(command: Command, io: CliIo): CommandContext {
  const options = command.optsWithGlobals<GlobalOptions>();
  const json = options.json === true;
  return {
    io,
    json,
    colours: coloursFor(!json && wantsColour(io, options.color)),
    daemon: { socket: socketPath(options.socket, io), clock: io.clock, timeoutMs: options.timeout * 1000 },
  };
}

/** Colours only on a terminal that can show them, and never against NO_COLOR (no-color.org). */
export function wantsColour(io: CliIo, flag = true): boolean {
  return flag && io.isTerminal && (io.env['NO_COLOR'] ?? '') === '' && io.env['TERM'] !== 'dumb';
}

function socketPath(flag: string | undefined, io: CliIo): string {
  const fromEnv = io.env['PVE_TRUENAS_SOCKET'] ?? '';
  const path = flag ?? (fromEnv === '' ? DEFAULT_SOCKET : fromEnv);
  if (path === '' || path.includes('\0') || Buffer.byteLength(path) > MAX_SOCKET_PATH) {
    throw failure('BAD_REQUEST', `the socket path is not usable: it must have 1 to ${MAX_SOCKET_PATH} bytes`, {
      causes: ['--socket or PVE_TRUENAS_SOCKET is wrong'],
      hints: [`without both, ${DEFAULT_SOCKET} is asked`],
    });
  }
  return path;
}

/** A value as JSON on standard output. */
export function putJson(io: CliIo, value: unknown): void {
  io.out(`${JSON.stringify(value, null, 2)}\n`);
}
