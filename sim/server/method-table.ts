import type { SimMethod, SimRelease } from '../api/contract.ts';

/**
 * Public methods of TrueNAS that are known by name and not modelled: refused loudly instead of being denied (truenas-api 4 to
 * 12). CRUD methods of the namespaces below are treated alike.
 */
const NOT_MODELLED: ReadonlySet<string> = new Set([
  ...['alert.list_categories', 'alert.list_policies', 'auth.generate_onetime_password', 'auth.set_attribute'],
  ...['auth.twofactor.config', 'auth.twofactor.update', 'core.arp', 'core.debug', 'core.download', 'core.job_download_logs'],
  ...['core.ping_remote', 'core.resize_shell', 'interface.query', 'privilege.become_readonly', 'replication.run_onetime'],
  ...['reporting.get_data', 'reporting.netdata_get_data', 'system.reboot.info', 'system.general.config', 'system.global.id'],
  ...['attachments', 'change_key', 'checksum_choices', 'compression_choices', 'details', 'encryption_algorithm_choices'].map(
    (name) => `pool.dataset.${name}`,
  ),
  ...['encryption_summary', 'export_key', 'export_keys', 'export_keys_for_replication', 'get_quota', 'lock', 'unlock'].map(
    (name) => `pool.dataset.${name}`,
  ),
  ...['inherit_parent_encryption_properties', 'processes', 'recordsize_choices', 'set_quota', 'snapshot_count'].map(
    (name) => `pool.dataset.${name}`,
  ),
  ...['clone', 'count', 'create', 'destroy', 'hold', 'holds', 'query', 'release', 'rename', 'rollback'].map(
    (name) => `zfs.resource.snapshot.${name}`,
  ),
]);

const NAMESPACES =
  /^(?:acme|app|boot|certificate|cloudsync|cronjob|disk|ftp|group|interface|keychaincredential|mail|network|nfs|nvmet|pool|replication|reporting|rsynctask|sharing|smb|ssh|support|system|tunable|ups|user|virt|vm|zfs)(?:\.[a-z_0-9]+)*\.(?:query|get_instance|config|create|update|delete)$/;
const SINCE_25_10 = /^(?:nvmet|zfs\.resource)\./;

/** Methods by name for one release. */
export class MethodTable {
  readonly #release: SimRelease;
  readonly #methods = new Map<string, SimMethod>();

  constructor(release: SimRelease, methods: readonly SimMethod[]) {
    this.#release = release;
    for (const method of methods) {
      if (method.releases !== undefined && !method.releases.includes(release)) continue;
      if (this.#methods.has(method.name)) throw new Error(`method ${method.name} is defined twice for ${release}`);
      this.#methods.set(method.name, method);
    }
  }

  get(name: string): SimMethod | undefined {
    return this.#methods.get(name);
  }

  /** True for a method that this release of TrueNAS has and the simulator has not. */
  isNotModelled(name: string): boolean {
    if (this.#release === '25.04' && SINCE_25_10.test(name)) return false;
    if (this.#release !== '26.0' && /^zfs\.resource\.(?:snapshot\.|destroy)/.test(name)) return false;
    return NOT_MODELLED.has(name) || NAMESPACES.test(name);
  }

  all(): readonly SimMethod[] {
    return [...this.#methods.values()].sort((a, b) => a.name.localeCompare(b.name));
  }
}
