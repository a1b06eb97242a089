import type { PortalAddress } from '../core/host-port.ts';
import { printable } from '../core/volume-name.ts';
import { CONNECTION, FABRIC, PVE, VOLUMES } from './active-settings.ts';
import { readerOf, type SectionReader } from './section-reader.ts';
import { type DraftConfig, judgeTogether } from './section-rules.ts';
import type { ConfigFault, StorageConfig } from './storage-config.ts';
import { distinctPortals } from './text-rules.ts';

const STORAGE_ID = /^[a-z][a-z0-9\-_.]*[a-z0-9]$/i;
const MAX_ID = 100;

/**
 * Checks a section of storage.cfg, be it from PVE's loader or from storage-cfg.ts, and gives it its defaults. Finds all
 * faults at once and never throws; `config` is null exactly when one of them is an error. Names and meanings: F-401..F-442.
 * Whether a secret is there is not judged here (secrets.ts), and nothing is asked of the array.
 */
export function parseSection(
  id: string,
  raw: Readonly<Record<string, unknown>>,
): { readonly config: StorageConfig | null; readonly faults: readonly ConfigFault[] } {
  const faults: ConfigFault[] = [];
  if (!STORAGE_ID.test(id) || id.length > MAX_ID) {
    faults.push({
      setting: 'storage',
      severity: 'error',
      message: `'${printable(id)}' is not a storage id`,
      cure: 'name the storage with letters, digits, -, _ and ., beginning with a letter',
    });
  }
  const section = readerOf(raw, faults);
  const config = assemble(id, section);
  judgeTogether(config, section);
  const complete = isComplete(config) && !faults.some((fault) => fault.severity === 'error');
  return { config: complete ? config : null, faults };
}

function isComplete(draft: DraftConfig): draft is StorageConfig {
  return draft.apiHost !== undefined && draft.dataset !== undefined && draft.target !== undefined;
}

function assemble(id: string, section: SectionReader): DraftConfig {
  const scheme = section.read(CONNECTION.apiScheme) ?? 'wss';
  const nodes = section.read(PVE.nodes);
  section.read(PVE.bwlimit);
  return {
    id,
    disabled: section.read(PVE.disable) ?? false,
    nodes: nodes === undefined || nodes.length === 0 ? null : nodes,
    apiHost: section.read(CONNECTION.apiHost),
    apiPort: section.read(CONNECTION.apiPort) ?? (scheme === 'wss' ? 443 : 80),
    apiScheme: scheme,
    apiInsecure: section.read(CONNECTION.apiInsecure) ?? false,
    fingerprint: section.read(CONNECTION.fingerprint) ?? null,
    caFile: section.read(CONNECTION.caFile) ?? null,
    apiUsername: section.read(CONNECTION.apiUsername) ?? null,
    preferIpv4: section.read(CONNECTION.preferIpv4) ?? true,
    apiTimeoutMs: milliseconds(section.read(CONNECTION.apiTimeout) ?? 30),
    apiRetryMax: section.read(CONNECTION.apiRetryMax) ?? 3,
    apiRetryDelayMs: milliseconds(section.read(CONNECTION.apiRetryDelay) ?? 1),
    connectionMaxAgeMs: milliseconds(section.read(CONNECTION.connectionMaxAge) ?? 3600),
    dataset: section.read(VOLUMES.dataset),
    volblocksize: section.read(VOLUMES.blocksize) ?? 16 * 1024,
    sparse: section.read(VOLUMES.sparse) ?? true,
    spaceOverheadPercent: section.read(VOLUMES.spaceOverhead) ?? 20,
    forceSize: section.read(VOLUMES.forceSize) ?? false,
    compression: section.read(VOLUMES.compression) ?? null,
    transport: section.read(FABRIC.transport) ?? 'iscsi',
    target: section.read(FABRIC.target),
    portals: portalsOf(section),
    multipath: section.read(FABRIC.multipath) ?? false,
    initiator: section.read(FABRIC.initiator) ?? 'kernel',
    chapUser: section.read(FABRIC.chapUser) ?? null,
    lunRestMs: milliseconds(section.read(FABRIC.lunRest) ?? 3600),
    // no retry at all meant "look once": one step is the shortest wait there is
    deviceTimeoutMs: Math.max(section.read(FABRIC.deviceRetries) ?? 600, 1) * 100,
  };
}

function milliseconds(seconds: number): number {
  return Math.round(seconds * 1000);
}

/** The first portal and the further ones, each once. */
function portalsOf(section: SectionReader): readonly PortalAddress[] {
  const first = section.read(FABRIC.discoveryPortal);
  const more = section.read(FABRIC.portals) ?? [];
  return distinctPortals(first === undefined ? more : [first, ...more]);
}
