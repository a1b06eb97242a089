import { StorageError } from '../../core/errors.ts';
import type { AttachedDevice, HostPort, LunSpec, PortalAddress } from '../../core/host-port.ts';
import { KeyedLock } from '../../core/keyed-lock.ts';
import type { Deadline } from '../../core/ports.ts';
import { portalText } from '../addresses.ts';
import { measured } from '../device-wait.ts';
import type { HostContext } from '../host-context.ts';
import { assertLunSpec, type VolumeRef, volumeKey } from '../volume-ref.ts';
import { waitFor } from '../waiting.ts';
import { capacity, type Probe, unitSerial } from './libiscsi.ts';

/** How long (ms) a LUN may take to show at the target after it was mapped, or to show its new size. */
const APPEAR_MS = 5000;
const GROW_MS = 15_000;

interface Verdict {
  readonly url: string;
  readonly error: StorageError | null;
}

/** Which failure tells most about what is wrong, when every portal failed. */
const TELLING = ['DEVICE_IDENTITY', 'DEVICE_SIZE', 'DEVICE_MISSING', 'LOGIN_FAILED'] as const;

/**
 * QEMU's own initiator: no device on the node, PVE opens `iscsi://portal/iqn/lun`. Law 1 is kept in user space, with libiscsi's tools:
 * the unit serial number must be the extent's, and the size must be equal. (The NAA of page 0x83 cannot be compared: iscsi-inq prints
 * designators as text and stops at their first zero byte, which is TrueNAS's fifth.)
 *
 * A verified volume is recorded as a symlink `<runDir>/direct/<storage>/<volume>` whose text is the URL: what the Perl module reads when
 * the daemon is down.
 */
export class QemuDirect implements HostPort {
  readonly #context: HostContext;
  readonly #records: string;
  readonly #locks = new KeyedLock();

  constructor(context: HostContext, runDir: string) {
    this.#context = context;
    this.#records = recordsBelow(runDir);
  }

  path(spec: LunSpec): string {
    const [portal] = spec.portals;
    if (portal === undefined) throw new StorageError('CONFIG_INVALID', `storage '${spec.storage}' has no portal`);
    return directUrl(spec, portal);
  }

  /** Where the URL of an attached volume is recorded. Errors: NAME_INVALID. */
  recordPath(volume: VolumeRef): string {
    return `${this.#records}/${volumeKey(volume)}`;
  }

  async attach(spec: LunSpec, deadline: Deadline): Promise<AttachedDevice> {
    assertLunSpec(spec);
    refuseChap(spec);
    return this.#exclusive(spec, deadline, async () => {
      const url = await measured(this.#context, spec, () => this.#verified(spec, false, deadline));
      await this.#context.files.link(this.recordPath(spec), url);
      return { path: url, device: url };
    });
  }

  async detach(volume: VolumeRef, deadline: Deadline): Promise<void> {
    await this.#exclusive(volume, deadline, () => this.#context.files.remove(this.recordPath(volume)));
  }

  async grow(spec: LunSpec, deadline: Deadline): Promise<void> {
    assertLunSpec(spec);
    refuseChap(spec);
    await this.#exclusive(spec, deadline, async () => {
      if ((await this.#context.files.readLink(this.recordPath(spec))) === null) return;
      await this.#verified(spec, true, deadline);
    });
  }

  /** Nothing is cached on the node: QEMU opens such disks with its own cache, which ends with it. */
  async flush(volume: VolumeRef): Promise<void> {
    await this.#context.files.readLink(this.recordPath(volume));
  }

  /** The node has no device that anybody could hold; who uses the LUN is known to QEMU and to the target. */
  holders(volume: VolumeRef): Promise<readonly string[]> {
    volumeKey(volume);
    return Promise.resolve([]);
  }

  #exclusive<T>(volume: VolumeRef, deadline: Deadline, work: () => Promise<T>): Promise<T> {
    return this.#locks.run(volumeKey(volume), deadline.signal, work);
  }

  /** The URL of the first portal that serves the volume itself. With `grown` a size above the one asked for is right as well. */
  async #verified(spec: LunSpec, grown: boolean, deadline: Deadline): Promise<string> {
    const initiator = await this.#initiatorName();
    let verdicts: readonly Verdict[] = [];
    const found = await waitFor({ ...this.#context, deadline, atMostMs: grown ? GROW_MS : APPEAR_MS }, async () => {
      const seen: Verdict[] = [];
      for (const portal of spec.portals) {
        const verdict = await this.#judge(spec, portal, initiator, grown, deadline);
        if (verdict.error === null) return verdict.url;
        seen.push(verdict);
      }
      verdicts = seen;
      const codes = seen.flatMap((verdict) => (verdict.error === null ? [] : [verdict.error.code]));
      // Waiting helps against a LUN that is not there yet and a size that is still the old one; against nothing else.
      if (codes.includes('DEVICE_MISSING') || (grown && codes.includes('DEVICE_SIZE'))) return undefined;
      return null;
    });
    if (typeof found === 'string') return found;
    deadline.signal.throwIfAborted();
    const errors = verdicts.flatMap((verdict) => (verdict.error === null ? [] : [verdict.error]));
    const telling = TELLING.map((code) => errors.find((error) => error.code === code)).find((error) => error !== undefined);
    throw telling ?? errors[0] ?? new StorageError('DEVICE_MISSING', `no portal serves ${spec.volume}`);
  }

  async #judge(spec: LunSpec, portal: PortalAddress, initiator: string | null, grown: boolean, deadline: Deadline): Promise<Verdict> {
    const url = directUrl(spec, portal);
    const serial = await unitSerial(this.#context.commands, url, initiator, deadline);
    if (serial.kind !== 'answer') return { url, error: failure(spec, portal, serial) };
    if (spec.serial === '' || serial.value !== spec.serial) {
      const text = `LUN ${spec.lun} at ${portalText(portal)} has serial '${serial.value}', TrueNAS says '${spec.serial}' for ${spec.volume}`;
      return { url, error: new StorageError('DEVICE_IDENTITY', text, { facts: { url, serial: serial.value, wanted: spec.serial } }) };
    }
    const size = await capacity(this.#context.commands, url, initiator, deadline);
    if (size.kind !== 'answer') return { url, error: failure(spec, portal, size) };
    if (size.value === spec.size || (grown && size.value > spec.size)) return { url, error: null };
    const text = `LUN ${spec.lun} at ${portalText(portal)} has ${size.value} bytes, TrueNAS says ${spec.size} for ${spec.volume}`;
    return { url, error: new StorageError('DEVICE_SIZE', text, { facts: { url, size: size.value, wanted: spec.size } }) };
  }

  /** The name that PVE gives to QEMU for `iscsi://` disks as well; null: libiscsi's own. */
  async #initiatorName(): Promise<string | null> {
    const text = (await this.#context.files.read('/etc/iscsi/initiatorname.iscsi')) ?? '';
    return /^InitiatorName=((?:iqn|eui|naa)\.[A-Za-z0-9_.:-]{1,220})\s*$/m.exec(text)?.[1] ?? null;
  }
}

/** Where the records of verified volumes stand. */
export function recordsBelow(runDir: string): string {
  return `${runDir}/direct`;
}

/**
 * `iscsi://HOST:PORT/IQN/LUN`, IPv6 in brackets. libiscsi puts the number into the LUN field as it stands: above 255 the address method
 * of flat addressing (0x4000, SAM-5 4.7.7) has to be in it, or the target takes its high byte for a bus number.
 */
export function directUrl(spec: LunSpec, portal: PortalAddress): string {
  return `iscsi://${portalText(portal)}/${spec.iqn}/${spec.lun > 255 ? spec.lun | 0x4000 : spec.lun}`;
}

function refuseChap(spec: LunSpec): void {
  if (spec.chap === undefined) return;
  throw new StorageError('NOT_SUPPORTED', `storage '${spec.storage}': CHAP cannot be used with QEMU's own initiator`, {
    causes: ['the secret would have to stand in the URL, which every user of the node can read'],
    hints: ["use the node's own initiator for this storage", 'TrueNAS: restrict the target to the initiator names of the nodes instead'],
  });
}

function failure(spec: LunSpec, portal: PortalAddress, probe: Exclude<Probe<unknown>, { kind: 'answer' }>): StorageError {
  const at = portalText(portal);
  const facts = { portal: at, target: spec.iqn, lun: spec.lun, said: probe.said };
  switch (probe.kind) {
    case 'absent':
      return new StorageError('DEVICE_MISSING', `target ${spec.iqn} at ${at} has no LUN ${spec.lun}`, {
        causes: ['the LUN is not mapped', 'the iSCSI service of TrueNAS has not taken up the change'],
        hints: [`iscsi-ls -s iscsi://${at}`],
        facts,
      });
    case 'refused':
      return new StorageError('LOGIN_FAILED', `portal ${at} refused the login to ${spec.iqn}: ${probe.said}`, {
        causes: ['the target does not exist there', 'the initiator name of this node is not allowed on it', 'it asks for CHAP'],
        hints: ['TrueNAS: Shares > Block (iSCSI) Shares Targets', `iscsi-ls iscsi://${at}`],
        facts,
      });
    case 'unreachable':
      return new StorageError('LOGIN_FAILED', `portal ${at} does not answer: ${probe.said}`, {
        causes: ['nobody listens there', 'the network or a firewall is in between'],
        hints: [`ping ${portal.host}`, 'TrueNAS: System > Services > iSCSI'],
        facts,
      });
  }
}
