/** File below /etc/pve/nodes/NODE in which a daemon tells its version to the other nodes of the cluster. */
export const VERSION_FILE = 'pve-truenas-version';
