import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { SETTINGS } from './schema.ts';

/** Names that PVE's own plugins declare: declaring one again kills `use PVE::Storage` on the node (pve-storage-api 2, 3.2). */
const PVE_CORE =
  'authsupported base blocksize bwlimit comstar_hg comstar_tg content content-dirs create-base-path create-subdirs data-pool datastore disable domain encryption-key export fingerprint format fs-name fuse is_mountpoint iscsiprovider keyring krbd lio_tpg master-pubkey max-protected-backups maxfiles mkdir monhost mountpoint namespace nocow nodes nowritecache options password path pool port portal preallocation prune-backups saferemove saferemove-stepsize saferemove_throughput server server2 share shared skip-cert-verification smbversion snapshot-as-volume-chain sparse storage subdir tagged_only target thinpool transport type username vgname volume zfs-base-path'.split(
    ' ',
  );
const JOVIAN = ['debug', 'multipath', 'config', 'user_name', 'user_password', 'pool_name', 'block_size', 'thin_provisioning', 'log_file'];
/** Settings of the ancestor plugin (pve-storage-api 3.2) and of the official one (F-401..F-442). */
const ANCESTOR =
  'api_host api_insecure api_key api_port api_retry_delay api_retry_max api_scheme api_transport chap_password chap_user dataset debug discovery_portal enable_bulk_operations enable_live_snapshots force_delete_on_inuse hostnqn ipv6_by_path logout_on_free nvme_dhchap_ctrl_secret nvme_dhchap_secret portals prefer_ipv4 snapshot_volume_chains subsystem_nqn target_iqn tn_sparse transport_mode use_by_path use_multipath vmstate_storage zvol_blocksize'.split(
    ' ',
  );
const OFFICIAL =
  'tn_api_host tn_api_key tn_api_scheme tn_api_transport tn_api_port tn_api_insecure tn_prefer_ipv4 tn_dataset tn_zvol_blocksize tn_transport_mode tn_target_iqn tn_discovery_portal tn_portals tn_use_multipath tn_force_delete_on_inuse tn_logout_on_free tn_use_by_path tn_ipv6_by_path tn_debug tn_chap_user tn_chap_password tn_subsystem_nqn tn_hostnqn tn_nvme_dhchap_secret tn_nvme_dhchap_ctrl_secret tn_nvme_allow_any_host tn_compression tn_sparse tn_enable_live_snapshots tn_snapshot_volume_chains tn_vmstate_storage tn_enable_bulk_operations tn_api_retry_max tn_api_retry_delay tn_storage_lock_timeout tn_use_cluster_lock tn_device_ready_retries tn_broker_timeout tn_nr_io_queues tn_nvme_ctrl_loss_tmo tn_nvme_reconnect_delay tn_nvme_keep_alive_tmo tn_api_budget_s tn_status_probe_backoff_s tn_api_key_file tn_transport'.split(
    ' ',
  );

const names = SETTINGS.flatMap((setting) => [setting.name, ...setting.aliases]);

describe('SETTINGS', () => {
  it('knows every setting of the plugins it replaces (F-022, F-401..F-442)', () => {
    expect([...ANCESTOR, ...OFFICIAL].filter((name) => !names.includes(name))).toEqual([]);
  });

  it('has each name once and in the form PVE allows', () => {
    expect(new Set(names).size).toBe(names.length);
    for (const name of names) expect(name).toMatch(/^[a-z][a-z0-9_-]*$/);
    expect(names).not.toContain('path');
  });

  it('declares no name of PVE itself, and marks those that other plugins declare too', () => {
    const own = SETTINGS.filter((setting) => setting.core !== true);
    expect(own.flatMap((setting) => [setting.name, ...setting.aliases]).filter((name) => PVE_CORE.includes(name))).toEqual([]);
    for (const setting of SETTINGS.filter((one) => one.core === true)) expect(PVE_CORE).toContain(setting.name);
    const contested = own.flatMap((setting) => setting.contested ?? []);
    expect(own.flatMap((setting) => [setting.name, ...setting.aliases]).filter((name) => JOVIAN.includes(name))).toEqual(contested);
  });

  it('says why wherever a setting has no effect, and only there', () => {
    for (const setting of SETTINGS) expect(setting.effect === 'none').toBe((setting.reason ?? '') !== '');
  });

  it('accepts its own defaults, and carries title and description into its JSON schema', () => {
    for (const setting of SETTINGS) {
      if (setting.default !== undefined) expect(setting.schema.safeParse(setting.default).success).toBe(true);
      expect(z.globalRegistry.get(setting.schema)).toMatchObject({ title: setting.title, description: setting.description });
    }
  });

  it('marks exactly the secrets as sensitive (law 10)', () => {
    expect(SETTINGS.filter((setting) => setting.sensitive === true).map((setting) => setting.name)).toEqual([
      'api_key',
      'chap_password',
      'nvme_dhchap_secret',
      'nvme_dhchap_ctrl_secret',
    ]);
  });
});
