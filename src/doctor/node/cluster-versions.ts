import * as z from 'zod';
import type { Deadline } from '../../core/ports.ts';

import { type Finding, ok, skipped, warning } from '../finding.ts';
import type { DoctorPorts } from '../ports.ts';
import { notSeen } from '../reasons.ts';

const NAME = 'versions in the cluster';
/** Below /etc/pve/nodes/NODE; systemd/tell-version writes it. */
const VERSION_FILE = 'pve-truenas-version';

const members = z.object({
  nodelist: z.record(z.string(), z.object({ online: z.union([z.literal(0), z.literal(1)]).optional() })).optional(),
});

interface NodeVersion {
  readonly node: string;
  readonly online: boolean;
  /** null: its daemon never told one */
  readonly version: string | null;
}

/**
 * The version of the daemon on every node: each has its own written to /etc/pve/nodes/NODE when it starts (systemd/tell-version), since pmxcfs is the one place that
 * all nodes share without logging in to each other.
 */
export async function checkClusterVersions(
  ports: Pick<DoctorPorts, 'text' | 'isRoot' | 'node'>,
  needed: readonly string[] | null,
  deadline: Deadline,
): Promise<Finding> {
  try {
    const text = await ports.text('/etc/pve/.members', deadline);
    if (text === null) return skipped(NAME, 'there is no /etc/pve/.members: this is no PVE node, or pve-cluster does not run');
    const parsed = members.safeParse(parseJson(text));
    if (!parsed.success) return skipped(NAME, '/etc/pve/.members is not understood');
    const nodes = Object.entries(parsed.data.nodelist ?? {});
    const all = nodes.length === 0 ? [[ports.node, { online: 1 as const }] as const] : nodes;
    const wanted = all.filter(([node]) => needed === null || needed.includes(node));
    const versions = await Promise.all(
      wanted.map(
        async ([node, { online }]): Promise<NodeVersion> => ({
          node,
          online: online !== 0,
          version: await versionOf(ports, node, deadline),
        }),
      ),
    );
    return judgeVersions(versions);
  } catch (thrown) {
    return notSeen(NAME, thrown, ports, 'systemctl status pve-cluster');
  }
}

async function versionOf(ports: Pick<DoctorPorts, 'text'>, node: string, deadline: Deadline): Promise<string | null> {
  // a name of the cluster file becomes a path: nothing but a host name may
  if (!/^[a-z0-9](?:[a-z0-9-]{0,62})$/i.test(node)) return null;
  const text = await ports.text(`/etc/pve/nodes/${node}/${VERSION_FILE}`, deadline);
  const version = text?.trim() ?? '';
  return /^[0-9A-Za-z.+~-]{1,64}$/.test(version) ? version : null;
}

export function judgeVersions(nodes: readonly NodeVersion[]): Finding {
  const seen = nodes.map(({ node, online, version }) => `${node} ${version ?? 'unknown'}${online ? '' : ' (offline)'}`).join(', ');
  if (nodes.some(({ version }) => version === null))
    return warning(
      NAME,
      `${seen}: a node without a version has no pve-truenasd yet, or an older one than tells`,
      'install the same package on every node: a node without it drops the storage when it next writes storage.cfg',
    );
  if (new Set(nodes.map(({ version }) => version)).size > 1)
    return warning(
      NAME,
      `${seen}: not the same everywhere`,
      'upgrade the other nodes: mixed versions work, but only for the time of an upgrade',
    );
  return ok(NAME, seen);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
