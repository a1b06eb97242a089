import { isLoopback } from './loopback.ts';
import { printable } from '../core/volume-name.ts';
import { CONNECTION, FABRIC, PVE, VOLUMES } from './active-settings.ts';
import { NQN_SETTINGS } from './inert-settings.ts';
import { SETTINGS } from './schema.ts';
import { apiKeyFault, chapSecretFault } from './secret-rules.ts';
import type { SectionReader } from './section-reader.ts';
import type { Setting } from './setting.ts';
import type { StorageConfig } from './storage-config.ts';

/** A section with its defaults; what must be given may still be missing. */
export type DraftConfig = Omit<StorageConfig, Required> & { readonly [K in Required]: StorageConfig[K] | undefined };
type Required = 'apiHost' | 'dataset' | 'target';

/** Rules that look at several settings, and everything that deserves a warning though it works. */
export function judgeTogether(draft: DraftConfig, section: SectionReader): void {
  judgeMissing(draft, section);
  judgeConnection(draft, section);
  judgeVolumes(draft, section);
  judgeFabric(draft, section);
  judgeSecrets(draft, section);
  judgeContent(draft, section);
  nameInert(section);
  judgeNames(section);
}

function judgeMissing(draft: DraftConfig, section: SectionReader): void {
  const needed: readonly Setting[] = [
    CONNECTION.apiHost,
    VOLUMES.dataset,
    ...(draft.transport === 'iscsi' ? [FABRIC.target, FABRIC.discoveryPortal] : []),
  ];
  for (const setting of needed) {
    if (section.names(setting).length > 0) continue;
    section.error(setting, 'is missing', `set ${section.nameOf(setting)} to ${setting.expected}`);
  }
}

function judgeConnection(draft: DraftConfig, section: SectionReader): void {
  judgeScheme(draft, section);
  const { apiInsecure, fingerprint, caFile } = draft;
  if (fingerprint !== null && caFile !== null) {
    section.warning(CONNECTION.caFile, 'has no effect beside fingerprint, which decides alone', 'remove one of the two');
  }
  if (!apiInsecure || draft.apiScheme === 'ws') return;
  const name = section.nameOf(CONNECTION.apiInsecure);
  if (fingerprint !== null || caFile !== null) {
    section.warning(
      CONNECTION.apiInsecure,
      `contradicts ${fingerprint !== null ? 'fingerprint' : 'truenas-ca'}, which checks the certificate`,
      `remove ${name}`,
    );
  } else {
    section.warning(
      CONNECTION.apiInsecure,
      'accepts any certificate: whoever sits between node and TrueNAS can take the API key',
      `set fingerprint to the SHA-256 fingerprint of the certificate and remove ${name}`,
    );
  }
}

/** F-015: a key that travels unencrypted is gone after its first use, on every node at once. */
function judgeScheme(draft: DraftConfig, section: SectionReader): void {
  const { apiScheme, apiPort, apiHost } = draft;
  const name = section.nameOf(CONNECTION.apiScheme);
  const port = section.nameOf(CONNECTION.apiPort);
  if (apiScheme === 'wss') {
    if (apiPort === 80) section.warning(CONNECTION.apiPort, 'port 80 of TrueNAS speaks no TLS', `remove ${port} to use port 443`);
    return;
  }
  if (apiHost !== undefined && isLoopback(apiHost)) {
    section.warning(
      CONNECTION.apiScheme,
      `speaks without TLS; the API key is sent only because ${printable(apiHost)} is this node itself`,
      `set ${name} to wss, or make sure that what listens there carries it on encrypted`,
    );
    if (apiPort === 443) section.warning(CONNECTION.apiPort, 'port 443 of TrueNAS speaks TLS only', `set ${name} to wss, or ${port} to 80`);
    for (const setting of [CONNECTION.apiInsecure, CONNECTION.fingerprint, CONNECTION.caFile]) {
      if (section.names(setting).length > 0) section.warning(setting, `has no effect without TLS (${name})`, 'remove it');
    }
    return;
  }
  section.error(
    CONNECTION.apiScheme,
    'would send the API key unencrypted: TrueNAS revokes a key that is used that way',
    `set ${name} to wss, or remove it`,
  );
}

function judgeFabric(draft: DraftConfig, section: SectionReader): void {
  if (draft.transport === 'nvme-tcp') {
    section.error(
      FABRIC.transport,
      'NVMe/TCP is not offered yet: this storage stays out of use',
      `use iscsi, or keep the earlier plugin on this cluster until NVMe/TCP is offered`,
    );
    return;
  }
  if (draft.initiator === 'qemu') {
    if (section.names(FABRIC.chapUser).length > 0) {
      // the URL of QEMU's initiator holds the secret, and QEMU's arguments are readable by every user of the node
      section.error(
        FABRIC.chapUser,
        'CHAP cannot be used with truenas-initiator qemu: the secret would stand in the arguments of QEMU',
        'set truenas-initiator to kernel, or use a target without CHAP',
      );
    }
    if (draft.multipath) {
      section.warning(FABRIC.multipath, 'has no effect with truenas-initiator qemu: QEMU uses one portal', 'remove one of the two');
    }
  } else if (draft.multipath && draft.portals.length === 1) {
    section.warning(FABRIC.multipath, 'is on, but there is one portal only', `name the other portals in ${section.nameOf(FABRIC.portals)}`);
  }
}

function judgeSecrets(draft: DraftConfig, section: SectionReader): void {
  for (const secret of [CONNECTION.apiKey, FABRIC.chapPassword]) {
    for (const name of section.names(secret)) {
      section.warning(
        secret,
        'stands in storage.cfg, where everyone who may see the storage reads it',
        `pvesm set ${draft.id} --${name} VALUE stores it under /etc/pve/priv/storage; then remove the line`,
      );
    }
  }
  const key = section.read(CONNECTION.apiKey);
  const strange = key === undefined ? null : apiKeyFault(key);
  if (strange !== null) section.warning(CONNECTION.apiKey, strange, `set it to ${CONNECTION.apiKey.expected}`);
  const secret = section.read(FABRIC.chapPassword);
  const wrong = secret === undefined ? null : chapSecretFault(secret);
  const user = section.nameOf(FABRIC.chapUser);
  if (section.names(FABRIC.chapUser).length === 0) {
    if (section.names(FABRIC.chapPassword).length === 0) return;
    section.warning(FABRIC.chapPassword, `has no effect without ${user}`, `set ${user} to ${FABRIC.chapUser.expected}`);
  } else if (wrong !== null) {
    section.error(FABRIC.chapPassword, wrong, `set ${section.nameOf(FABRIC.chapPassword)} to ${FABRIC.chapPassword.expected}`);
  }
}

function judgeVolumes(draft: DraftConfig, section: SectionReader): void {
  if (!draft.forceSize || !draft.sparse) return;
  section.warning(
    VOLUMES.forceSize,
    `lets thin volumes be larger than the pool (${section.nameOf(VOLUMES.sparse)} is on): a full pool stops every guest on it`,
    `remove ${section.nameOf(VOLUMES.forceSize)} as soon as the large volume is made`,
  );
}

/** What PVE does with a section whose content or nodes it cannot read (PVE::SectionConfig parse_config, pve-storage-api 2). */
const DROPPED = 'PVE drops the whole section, and with it fails the storage list of every node';
/** PVE::JSONSchema pve_verify_node_name */
const NODE_NAME = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/i;

function shownWords(words: readonly string[]): string {
  const shown = words.slice(0, 5).map((word) => `'${printable(word)}'`);
  return words.length > 5 ? `${shown.join(', ')} and ${words.length - 5} more` : shown.join(', ');
}

const CONTENT = new Set(['images', 'rootdir', 'none']);

function judgeContent(draft: DraftConfig, section: SectionReader): void {
  const content = section.read(PVE.content) ?? [];
  const foreign = content.filter((word) => !CONTENT.has(word));
  if (foreign.length > 0) {
    section.warning(PVE.content, `${shownWords(foreign)}: not kept on this storage`, `set content to ${PVE.content.expected}`);
  }
  if (content.includes('none') && content.some((word) => word !== 'none' && CONTENT.has(word))) {
    section.error(PVE.content, `none stands beside other content: ${DROPPED}`, `set content to ${PVE.content.expected}`);
  }
  const strangers = (draft.nodes ?? []).filter((name) => !NODE_NAME.test(name));
  if (strangers.length > 0) {
    section.error(PVE.nodes, `${shownWords(strangers)}: no name of a node; ${DROPPED}`, `set nodes to ${PVE.nodes.expected}`);
  }
  if (section.read(PVE.shared) === false) section.warning(PVE.shared, 'has no effect: the storage is always shared', 'remove it');
}

/** NVMe names are no use yet, but a wrong one is better corrected before they are. */
function judgeNames(section: SectionReader): void {
  for (const setting of NQN_SETTINGS) section.read(setting, 'warning');
}

/** Names what is accepted and changes nothing (F-404, F-415..F-418, F-427..F-429 and the like). */
function nameInert(section: SectionReader): void {
  for (const setting of SETTINGS) {
    if (setting.reason === undefined || section.names(setting).length === 0) continue;
    const secret = setting.sensitive === true ? '; a secret does not belong into storage.cfg' : '';
    section.warning(setting, `has no effect: ${setting.reason}${secret}`, 'remove it');
  }
}
