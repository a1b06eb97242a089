/** Roles that the modelled methods ask for, and what they include (truenas-api 4). */
const ISCSI = ['AUTH', 'EXTENT', 'GLOBAL', 'HOST', 'INITIATOR', 'PORTAL', 'TARGET', 'TARGETEXTENT'] as const;

const PAIRS = [
  'ACCOUNT',
  'API_KEY',
  'AUTH_SESSIONS',
  'PRIVILEGE',
  'NETWORK_INTERFACE',
  'NETWORK_GENERAL',
  'DATASET',
  'SNAPSHOT',
  'SNAPSHOT_TASK',
  'POOL_SCRUB',
  'REPLICATION_TASK',
  'KEYCHAIN_CREDENTIAL',
  'SHARING_NVME_TARGET',
  'SYSTEM_SECURITY',
  'SYSTEM_GENERAL',
  ...ISCSI.map((part) => `SHARING_ISCSI_${part}`),
];

const INCLUDES = new Map<string, readonly string[]>([
  ...PAIRS.flatMap((name): [string, readonly string[]][] => [
    [`${name}_READ`, []],
    [`${name}_WRITE`, [`${name}_READ`]],
  ]),
  ['DATASET_DELETE', []],
  ['SNAPSHOT_DELETE', []],
  ['SERVICE_READ', []],
  ['SERVICE_WRITE', []],
  ['POOL_READ', ['POOL_SCRUB_READ']],
  ['POOL_WRITE', ['POOL_READ', 'POOL_SCRUB_WRITE']],
  ['ALERT_LIST_READ', []],
  ['ALERT_LIST_WRITE', ['ALERT_LIST_READ']],
  ['REPORTING_READ', []],
  ['REPORTING_WRITE', ['REPORTING_READ']],
  ['SYSTEM_PRODUCT_READ', []],
  ['ZFS_RESOURCE_READ', []],
  ['ZFS_RESOURCE_WRITE', ['ZFS_RESOURCE_READ']],
  ['ZFS_RESOURCE_DELETE', []],
  ['SHARING_ISCSI_READ', ISCSI.map((part) => `SHARING_ISCSI_${part}_READ`)],
  ['SHARING_ISCSI_WRITE', ISCSI.map((part) => `SHARING_ISCSI_${part}_WRITE`)],
  ['SHARING_READ', ['SHARING_ISCSI_READ', 'SHARING_NVME_TARGET_READ']],
  ['SHARING_WRITE', ['SHARING_ISCSI_WRITE', 'SHARING_NVME_TARGET_WRITE']],
  ['REPLICATION_ADMIN', ['KEYCHAIN_CREDENTIAL_WRITE', 'REPLICATION_TASK_WRITE', 'SNAPSHOT_TASK_WRITE', 'SNAPSHOT_WRITE']],
  // Lacks DATASET_DELETE and SNAPSHOT_WRITE/DELETE (truenas-api 4).
  ['SHARING_ADMIN', ['READONLY_ADMIN', 'DATASET_WRITE', 'SHARING_WRITE', 'SERVICE_READ']],
]);

INCLUDES.set(
  'READONLY_ADMIN',
  [...INCLUDES.keys()].filter((name) => name.endsWith('_READ')),
);

export const FULL_ADMIN = 'FULL_ADMIN';
const BUILTIN = [FULL_ADMIN, 'READONLY_ADMIN', 'SHARING_ADMIN', 'REPLICATION_ADMIN'];

/** All role names, FULL_ADMIN first. */
export function allRoles(): readonly { readonly name: string; readonly includes: readonly string[]; readonly builtin: boolean }[] {
  return [
    { name: FULL_ADMIN, includes: [], builtin: false },
    ...[...INCLUDES].map(([name, includes]) => ({ name, includes, builtin: !BUILTIN.includes(name) })),
  ];
}

export function isRole(name: string): boolean {
  return name === FULL_ADMIN || INCLUDES.has(name);
}

/** The roles that these roles grant, themselves included; FULL_ADMIN grants all. */
export function expandRoles(roles: readonly string[]): ReadonlySet<string> {
  const found = new Set<string>();
  const visit = (name: string): void => {
    if (found.has(name)) return;
    found.add(name);
    for (const included of INCLUDES.get(name) ?? []) visit(included);
  };
  if (roles.includes(FULL_ADMIN)) for (const name of INCLUDES.keys()) visit(name);
  for (const name of roles) visit(name);
  return found;
}
