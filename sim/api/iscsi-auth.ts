import * as z from 'zod';
import type { ArrayCore } from '../state/array-core.ts';
import { type AuthRecord, authMethod } from '../state/iscsi/records.ts';
import { CallError, type SimMethod } from './contract.ts';
import { crudMethods } from './crud.ts';
import { integer, param, Problems, str } from './method.ts';

const fields = { tag: integer, user: str, secret: str };
const createModel = z.strictObject({
  ...fields,
  peeruser: str.default(''),
  peersecret: str.default(''),
  discovery_auth: authMethod.default('NONE'),
});
const updateModel = z.strictObject({ ...fields, peeruser: str, peersecret: str, discovery_auth: authMethod }).partial();
const BAD_CHARACTERS = ['#'] as const;
const HIDDEN = '********';

/** iscsi.auth.* (truenas-api 11): target groups name the tag, not the id. */
export function authMethods(core: ArrayCore): SimMethod[] {
  const auths = core.iscsi.auths;

  const checkSecret = (problems: Problems, attribute: string, title: string, secret: string): void => {
    if (secret.length < 12 || secret.length > 16) problems.add(attribute, `${title} must be between 12 and 16 characters.`);
    if (secret !== secret.trim()) problems.add(attribute, `${title} contains leading or trailing space.`);
    const bad = BAD_CHARACTERS.filter((character) => secret.includes(character));
    if (bad.length > 0) problems.add(attribute, `${title} contains invalid characters: ${bad.join(',')}`);
  };

  const validate = (problems: Problems, schema: string, wanted: Omit<AuthRecord, 'id'>): void => {
    if (wanted.peeruser === '' && wanted.peersecret !== '')
      problems.add(`${schema}.peersecret`, 'The peer user is required if you set a peer secret.');
    checkSecret(problems, `${schema}.secret`, 'Secret', wanted.secret);
    const mutual = auths.filter((one) => one.discovery_auth === 'CHAP_MUTUAL' && one.peeruser !== '').length;
    if (wanted.peeruser !== '') {
      if (wanted.peersecret === '') problems.add(`${schema}.peersecret`, 'The peer secret is required if you set a peer user.');
      else if (wanted.peersecret === wanted.secret)
        problems.add(`${schema}.peersecret`, 'The peer secret cannot be the same as user secret.');
      else checkSecret(problems, `${schema}.peersecret`, 'Peer Secret', wanted.peersecret);
      if (wanted.discovery_auth === 'CHAP_MUTUAL' && mutual > 0) {
        problems.add(`${schema}.discovery_auth`, 'Cannot specify CHAP_MUTUAL as only one such entry is permitted.');
      }
    } else if (wanted.discovery_auth === 'CHAP_MUTUAL') {
      problems.add(`${schema}.discovery_auth`, 'Cannot specify CHAP_MUTUAL if peer_user has not been defined.');
    }
  };

  const usage = (row: AuthRecord): string | null => {
    if (auths.find((other) => other.id !== row.id && other.tag === row.tag) !== undefined) return null;
    const users = core.iscsi.targets
      .all()
      .flatMap((target) => target.groups.filter((group) => group.auth === row.tag).map(() => target.id));
    return users.length === 0 ? null : `Authorized access of ${row.id} is being used by following target(s): ${users.join(', ')}`;
  };

  return crudMethods<AuthRecord>({
    core,
    namespace: 'iscsi.auth',
    verboseName: 'iSCSITargetAuthCredential',
    rolePrefix: 'SHARING_ISCSI_AUTH',
    rows: () => auths.all(),
    get: (id) => auths.get(id),
    entry: (row, context) => {
      const shown = context?.hasRole('SHARING_ISCSI_AUTH_WRITE') === true;
      return { ...row, secret: shown ? row.secret : HIDDEN, peersecret: shown ? row.peersecret : HIDDEN };
    },
    createParam: () => param('data', createModel),
    updateParam: () => param('data', updateModel),
    deleteParams: [],
    async create(data) {
      const wanted = createModel.parse(data);
      const problems = new Problems();
      validate(problems, 'iscsi_auth_create', wanted);
      problems.check();
      const row = auths.insert({ id: auths.nextId(), ...wanted });
      await core.reloadIscsi();
      return row;
    },
    async update(row, data) {
      const wanted = updateModel.parse(data);
      const next: AuthRecord = {
        id: row.id,
        tag: wanted.tag ?? row.tag,
        user: wanted.user ?? row.user,
        secret: wanted.secret ?? row.secret,
        peeruser: wanted.peeruser ?? row.peeruser,
        peersecret: wanted.peersecret ?? row.peersecret,
        discovery_auth: wanted.discovery_auth ?? row.discovery_auth,
      };
      const problems = new Problems();
      validate(problems, 'iscsi_auth_update', next);
      const used = next.tag === row.tag ? null : usage(row);
      if (used !== null) problems.add('iscsi_auth_update.tag', used);
      problems.check();
      auths.update(next);
      await core.reloadIscsi();
      return next;
    },
    async remove(row) {
      const used = usage(row);
      if (used !== null) throw new CallError(used);
      auths.remove(row.id);
      await core.reloadIscsi();
    },
  });
}
