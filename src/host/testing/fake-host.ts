import { StorageError } from '../../core/errors.ts';
import type { AttachedDevice, HostPort, LunSpec } from '../../core/host-port.ts';
import type { Deadline } from '../../core/ports.ts';

export type FakeHostMethod = 'attach' | 'detach' | 'grow' | 'flush' | 'holders';
type Volume = { readonly storage: string; readonly volume: string; readonly naa?: string };

export interface FakeHostCall {
  readonly method: FakeHostMethod;
  readonly storage: string;
  readonly volume: string;
  readonly spec?: LunSpec;
}

/** What the array serves at a LUN, as the node would read it from the device; null: nothing there. */
export type FakeLunReader = (spec: LunSpec) => { readonly naa: string; readonly size: number } | null;

/**
 * A node in memory, for tests of the use cases. It keeps law 1 as the real ones do: `attach` and `grow` compare what
 * `served` shows with the LunSpec and fail with DEVICE_MISSING, DEVICE_IDENTITY or DEVICE_SIZE; `detach` and `flush`
 * fail with DEVICE_BUSY while `hold` says that somebody has the volume open.
 */
export class FakeHost implements HostPort {
  readonly calls: FakeHostCall[] = [];
  /** Attached volumes by `storage/volume`. */
  readonly attached = new Map<string, LunSpec>();
  /** How often buffers were dropped, by `storage/volume`. */
  readonly flushed = new Map<string, number>();
  /** Default: the array serves exactly what it says. */
  served: FakeLunReader = (spec) => ({ naa: spec.naa, size: spec.size });

  readonly #held = new Map<string, readonly string[]>();
  readonly #faults: { method: FakeHostMethod; error: Error; left: number }[] = [];
  readonly #gates: { method: FakeHostMethod; wait: Promise<void> }[] = [];

  path(spec: LunSpec): string {
    return `/dev/pve-truenas/${spec.storage}/${spec.volume}`;
  }

  async attach(spec: LunSpec, deadline: Deadline): Promise<AttachedDevice> {
    await this.#enter('attach', spec, deadline, spec);
    this.#verify(spec);
    this.attached.set(keyOf(spec), spec);
    return { path: this.path(spec), device: `/dev/disk/by-id/scsi-3${spec.naa.slice(2)}` };
  }

  async detach(volume: Volume, deadline: Deadline): Promise<void> {
    await this.#enter('detach', volume, deadline);
    this.#refuseHeld(volume);
    this.attached.delete(keyOf(volume));
  }

  async grow(spec: LunSpec, deadline: Deadline): Promise<void> {
    await this.#enter('grow', spec, deadline, spec);
    if (!this.attached.has(keyOf(spec))) return;
    this.#verify(spec);
    this.attached.set(keyOf(spec), spec);
  }

  async flush(volume: Volume, deadline: Deadline): Promise<void> {
    await this.#enter('flush', volume, deadline);
    this.#refuseHeld(volume);
    this.flushed.set(keyOf(volume), (this.flushed.get(keyOf(volume)) ?? 0) + 1);
  }

  async holders(volume: Volume, deadline: Deadline): Promise<readonly string[]> {
    await this.#enter('holders', volume, deadline);
    return this.#held.get(keyOf(volume)) ?? [];
  }

  /** From now on `who` holds the volume open (`[]`: nobody any more). */
  hold(volume: Volume, who: readonly string[]): void {
    if (who.length === 0) this.#held.delete(keyOf(volume));
    else this.#held.set(keyOf(volume), who);
  }

  /** The next `times` calls of `method` fail with `error` and change nothing. */
  fail(method: FakeHostMethod, error: Error, times = 1): void {
    this.#faults.push({ method, error, left: times });
  }

  /** The next call of `method` waits until the returned function is called (or its deadline aborts). */
  pause(method: FakeHostMethod): () => void {
    let open: () => void = () => undefined;
    const wait = new Promise<void>((resolve) => {
      open = resolve;
    });
    this.#gates.push({ method, wait });
    return () => open();
  }

  /** What a node knows after a restart of the daemon: the same. After a reboot of the node: nothing. */
  reboot(): void {
    this.attached.clear();
    this.flushed.clear();
    this.#held.clear();
  }

  /** Calls of one method so far. */
  count(method: FakeHostMethod): number {
    return this.calls.filter((call) => call.method === method).length;
  }

  async #enter(method: FakeHostMethod, volume: Volume, deadline: Deadline, spec?: LunSpec): Promise<void> {
    this.calls.push({ method, storage: volume.storage, volume: volume.volume, ...(spec === undefined ? {} : { spec }) });
    deadline.signal.throwIfAborted();
    const gate = this.#gates.findIndex((candidate) => candidate.method === method);
    const waiting = gate < 0 ? undefined : this.#gates.splice(gate, 1)[0];
    if (waiting !== undefined) await untilAborted(waiting.wait, deadline.signal);
    const fault = this.#faults.find((candidate) => candidate.method === method && candidate.left > 0);
    if (fault !== undefined) {
      fault.left -= 1;
      throw fault.error;
    }
  }

  #verify(spec: LunSpec): void {
    const device = this.served(spec);
    if (device === null) throw new StorageError('DEVICE_MISSING', `LUN ${spec.lun} of ${spec.iqn}: no device appeared`);
    if (device.naa !== spec.naa) {
      throw new StorageError('DEVICE_IDENTITY', `LUN ${spec.lun} of ${spec.iqn} is ${device.naa}, not ${spec.naa} of ${spec.volume}`);
    }
    if (device.size !== spec.size) {
      throw new StorageError('DEVICE_SIZE', `${spec.volume}: the device has ${device.size} bytes, TrueNAS says ${spec.size}`);
    }
  }

  #refuseHeld(volume: Volume): void {
    const who = this.#held.get(keyOf(volume));
    if (who !== undefined) throw new StorageError('DEVICE_BUSY', `${volume.volume} is held by ${who.join(', ')}`);
  }
}

function keyOf(volume: Volume): string {
  return `${volume.storage}/${volume.volume}`;
}

async function untilAborted(wait: Promise<void>, signal: AbortSignal): Promise<void> {
  let stop: () => void = () => undefined;
  const aborted = new Promise<never>((_resolve, reject) => {
    stop = () => reject(signal.reason as Error);
    signal.addEventListener('abort', stop, { once: true });
  });
  try {
    await Promise.race([wait, aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
