import { StorageError } from '../../core/errors.ts';
import type { Deadline } from '../../core/ports.ts';
import { type Commands, lastLine } from '../commands.ts';

/** What libiscsi's tools said of a LUN: the answer, or why there is none. */
export type Probe<T> =
  | { readonly kind: 'answer'; readonly value: T }
  /** Nobody listens, or the connection broke. */
  | { readonly kind: 'unreachable'; readonly said: string }
  /** The target does not let this initiator in, or is not there. */
  | { readonly kind: 'refused'; readonly said: string }
  /** The target is there, the LUN is not. */
  | { readonly kind: 'absent'; readonly said: string };

/** libiscsi's exit code for everything that went wrong; the reason is in the text alone. */
const FAILED = 10;

/** Unit serial number, VPD page 0x80, of the LUN behind an `iscsi://` URL. Targets pad it with blanks. */
export async function unitSerial(commands: Commands, url: string, initiator: string | null, deadline: Deadline): Promise<Probe<string>> {
  const probe = await ask(commands, ['iscsi-inq', ...initiatorOption(initiator), '-e', '1', '-c', '128', url], deadline);
  if (probe.kind !== 'answer') return probe;
  const serial = /^Unit Serial Number:\[([^\]\n]*)\]$/m.exec(probe.value)?.[1];
  if (serial === undefined) throw notUnderstood('iscsi-inq', probe.value);
  return { kind: 'answer', value: serial.trim() };
}

/** Bytes of the LUN by READ CAPACITY(16). */
export async function capacity(commands: Commands, url: string, initiator: string | null, deadline: Deadline): Promise<Probe<number>> {
  const probe = await ask(commands, ['iscsi-readcapacity16', ...initiatorOption(initiator), url], deadline);
  if (probe.kind !== 'answer') return probe;
  const last = /^RETURNED LOGICAL BLOCK ADDRESS:(\d{1,19})$/m.exec(probe.value)?.[1];
  const block = /^LOGICAL BLOCK LENGTH IN BYTES:(\d{1,7})$/m.exec(probe.value)?.[1];
  const bytes = last === undefined || block === undefined ? Number.NaN : (Number(last) + 1) * Number(block);
  if (!Number.isSafeInteger(bytes) || bytes <= 0) throw notUnderstood('iscsi-readcapacity16', probe.value);
  return { kind: 'answer', value: bytes };
}

function initiatorOption(initiator: string | null): readonly string[] {
  return initiator === null ? [] : ['-i', initiator];
}

async function ask(commands: Commands, argv: readonly string[], deadline: Deadline): Promise<Probe<string>> {
  const result = await commands.run(argv, { deadline, okExitCodes: [0, FAILED] });
  if (result.exitCode === 0) return { kind: 'answer', value: result.stdout };
  const text = `${result.stderr}\n${result.stdout}`;
  const said = lastLine(result.stderr) || lastLine(result.stdout);
  if (/LOGICAL_UNIT_NOT_SUPPORTED|LOGICAL_UNIT_NOT_ACCESSIBLE/.test(text)) return { kind: 'absent', said };
  if (/Failed to log in to target|Authentication failure|Target not found|login response/i.test(text)) return { kind: 'refused', said };
  return { kind: 'unreachable', said };
}

function notUnderstood(program: string, output: string): StorageError {
  return new StorageError('HOST_COMMAND', `${program} printed something that is not understood: ${lastLine(output)}`, {
    facts: { output: output.slice(0, 1000) },
  });
}
