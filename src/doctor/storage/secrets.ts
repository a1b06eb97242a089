import type { StorageConfig } from '../../config/storage-config.ts';
import { error, type Finding, ok, skipped, warning } from '../finding.ts';
import type { DoctorPorts } from '../ports.ts';
import { AS_ROOT, messageOf } from '../reasons.ts';

/** Whether the storage's secrets are where they belong. Nothing of them is shown. */
export async function checkSecrets(
  ports: Pick<DoctorPorts, 'secret' | 'isRoot'>,
  config: StorageConfig,
  section: Readonly<Record<string, unknown>>,
): Promise<readonly Finding[]> {
  const wanted = config.chapUser === null ? (['api_key'] as const) : (['api_key', 'chap_password'] as const);
  return Promise.all(
    wanted.map(async (name): Promise<Finding> => {
      const title = name === 'api_key' ? 'API key' : 'CHAP secret';
      if (!ports.isRoot) return skipped(title, 'only root may see whether it is there', AS_ROOT);
      const cure = `pvesm set ${config.id} --${name} VALUE`;
      try {
        const secret = await ports.secret(config.id, name, section);
        if (secret === null) return error(title, 'there is none', cure);
        if (secret.inline) return warning(title, 'it stands in storage.cfg, which www-data may read', cure);
        return ok(title, `is in /etc/pve/priv/storage/${config.id}.${name}`);
      } catch (thrown) {
        return error(title, messageOf(thrown), cure);
      }
    }),
  );
}
