import * as z from 'zod';
import type { ArrayCore } from '../state/array-core.ts';
import type { PortalRecord } from '../state/iscsi/records.ts';
import { pause } from '../state/array-core.ts';
import { PythonError, type SimMethod } from './contract.ts';
import { crudMethods } from './crud.ts';
import { method, nonEmpty, param, Problems, pythonQuote, roles, str } from './method.ts';

const listen = z.array(z.strictObject({ ip: nonEmpty }));
const createModel = z.strictObject({ listen, comment: str.default('') });
const updateModel = z.strictObject({ listen: listen.optional(), comment: str.optional() });

/** iscsi.portal.* (truenas-api 11). */
export function portalMethods(core: ArrayCore): SimMethod[] {
  const portals = core.iscsi.portals;

  const choices = (): Record<string, string> => Object.fromEntries(['0.0.0.0', '::', ...core.addresses].map((ip) => [ip, ip]));

  const validate = (schema: string, wanted: readonly string[], old: PortalRecord | null): void => {
    const problems = new Problems();
    if (wanted.length === 0) problems.add(`${schema}.listen`, 'At least one listen entry is required.');
    const known = choices();
    const added = new Set(wanted.filter((ip) => old !== null && !old.listen.includes(ip)));
    for (const ip of wanted) {
      const user = portals.find((portal) => portal.id !== old?.id && portal.listen.includes(ip));
      if (user !== undefined) problems.add(`${schema}.listen`, `${pythonQuote(ip)} IP is already in use.`);
      if ((added.has(ip) || added.size === 0) && known[ip] === undefined)
        problems.add(`${schema}.listen`, `IP ${ip} not configured on this system.`);
    }
    problems.check();
  };

  /** The table of addresses has a unique index. */
  const checkAddresses = (portal: PortalRecord): void => {
    if (portals.find((other) => other.id !== portal.id && other.listen.some((ip) => portal.listen.includes(ip))) !== undefined) {
      throw new PythonError(
        'IntegrityError',
        '(sqlite3.IntegrityError) UNIQUE constraint failed: services_iscsitargetportalip.iscsi_target_portalip_ip',
      );
    }
  };

  return [
    ...crudMethods<PortalRecord>({
      core,
      namespace: 'iscsi.portal',
      verboseName: 'ISCSIPortal',
      rolePrefix: 'SHARING_ISCSI_PORTAL',
      rows: () => portals.all(),
      get: (id) => portals.get(id),
      entry: (row) => ({
        id: row.id,
        listen: row.listen.map((ip) => ({ ip, port: core.iscsi.global.listen_port })),
        tag: row.tag,
        comment: row.comment,
      }),
      createParam: () => param('iscsi_portal_create', createModel),
      updateParam: () => param('iscsi_portal_update', updateModel),
      deleteParams: [],
      async create(data) {
        const wanted = createModel.parse(data);
        const addresses = [...new Set(wanted.listen.map((one) => one.ip))];
        validate('iscsiportal_create', addresses, null);
        await pause();
        const row: PortalRecord = { id: portals.nextId(), tag: portals.all().length + 1, comment: wanted.comment, listen: addresses };
        checkAddresses(row);
        portals.insert(row);
        await core.reloadIscsi();
        return row;
      },
      async update(row, data) {
        const wanted = updateModel.parse(data);
        const addresses = wanted.listen === undefined ? row.listen : [...new Set(wanted.listen.map((one) => one.ip))];
        validate('iscsiportal_update', addresses, row);
        await pause();
        const next: PortalRecord = { ...row, listen: addresses, comment: wanted.comment ?? row.comment };
        checkAddresses(next);
        portals.update(next);
        await core.reloadIscsi();
        return next;
      },
      async remove(row) {
        for (const target of core.iscsi.targets.all()) {
          const groups = target.groups.filter((group) => group.portal !== row.id);
          if (groups.length !== target.groups.length) core.iscsi.targets.update({ ...target, groups });
        }
        portals.remove(row.id);
        const left = [...portals.all()].sort((a, b) => a.tag - b.tag);
        left.forEach((portal, index) => portals.update({ ...portal, tag: index + 1 }));
        await core.reloadIscsi();
      },
    }),
    method('iscsi.portal.listen_ip_choices', roles('READONLY_ADMIN', 'SHARING_ISCSI_PORTAL_READ'), [], choices),
  ];
}
