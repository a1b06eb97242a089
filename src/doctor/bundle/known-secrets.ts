import { settingNamed } from '../../config/schema.ts';
import { readStorageCfg } from '../../config/storage-cfg.ts';
import type { Deadline } from '../../core/ports.ts';
import type { DoctorPorts } from '../ports.ts';
import { STORAGE_CFG } from '../storage-cfg.ts';

/** Its files are secrets as a whole, line by line; those of other storage types, too. */
const SECRETS = '/etc/pve/priv/storage';
/** open-iscsi's settings and records, with secrets behind names: Debian 13 keeps the records in the second one, Debian 12 in the first. */
const ISCSI = ['/etc/iscsi', '/var/lib/iscsi'] as const;
const SENSITIVE = /(?:pass(?:word|wd)?(?:_in)?|secret|key|token)$/i;

/** Files that are read at the same time. */
const AT_ONCE = 16;

/**
 * All secrets that this node keeps where we know to look, so that none of them gets into an archive. Errors: root could not read them;
 * what another user cannot read gets into no file of his archive either.
 */
export async function knownSecrets(ports: Pick<DoctorPorts, 'text' | 'list' | 'isRoot'>, deadline: Deadline): Promise<ReadonlySet<string>> {
  const secrets = new Set<string>();
  const take = (value: string): void => {
    const bare = value.trim().replace(/^"(.*)"$/, '$1');
    if (bare !== '') secrets.add(bare);
  };
  const readable = async <T>(work: Promise<T>, otherwise: T): Promise<T> => {
    try {
      return await work;
    } catch (thrown) {
      if (ports.isRoot) throw thrown;
      return otherwise;
    }
  };
  const read = async (paths: readonly string[], each: (text: string) => void): Promise<void> => {
    for (let at = 0; at < paths.length; at += AT_ONCE) {
      const texts = await Promise.all(paths.slice(at, at + AT_ONCE).map((path) => readable(ports.text(path, deadline), null)));
      for (const text of texts) if (text !== null) each(text);
    }
  };
  const below = (directory: string): Promise<readonly string[]> => readable(ports.list(directory, deadline), []);

  await read(await below(SECRETS), (text) => text.split('\n').forEach(take));
  await read([STORAGE_CFG], (text) => {
    for (const { properties } of readStorageCfg(text).sections) {
      for (const [name, value] of Object.entries(properties)) {
        if (value === null) continue;
        if (settingNamed(name)?.sensitive === true || SENSITIVE.test(name)) take(value);
        const password = /:\/\/[^\s/@:]{0,200}:([^\s/@]{1,1000})@/.exec(value)?.[1];
        if (password !== undefined) take(password);
      }
    }
  });
  await read((await Promise.all(ISCSI.map(below))).flat(), (text) => {
    for (const [, name = '', value = ''] of text.matchAll(/^[ \t]*#?[ \t]*([\w.[\]-]{1,100})[ \t]*=[ \t]*(\S.*)$/gm))
      if (SENSITIVE.test(name)) take(value);
  });
  return secrets;
}
