import { printable } from '../core/volume-name.ts';
import { strangeCharacter } from './characters.ts';
import type { TextRule } from './setting.ts';

/** Names that ZFS keeps for vdev types: a pool cannot begin with them (zpool(8): mirror, raidz, draid, spare, log). */
const RESERVED_POOL = /^(?:mirror|raidz|draid|spare|log$)/;
/** ZFS allows 255 for the whole name of a volume and TrueNAS 25.04 200 (truenas-api 5); the volume's own part needs room. */
const MAX_DATASET = 180;

/** A dataset by ZFS's rules (zfs(8)) without the blanks that it allows: letters, digits, `_ - . :`, parts divided by one `/`. */
export const datasetRule: TextRule<string> = (text) => {
  const shown = `'${printable(text)}'`;
  if (text.startsWith('/mnt/')) return { wrong: `${shown} is a mount path; the dataset is '${printable(text.slice('/mnt/'.length))}'` };
  const strange = strangeCharacter(text, /[A-Za-z0-9_.:/-]/);
  if (strange !== null) return { wrong: `${shown}: ${strange} is not allowed` };
  if (text.length > MAX_DATASET)
    return { wrong: `has ${text.length} characters, at most ${MAX_DATASET} leave room for the volumes' names` };
  if (text.startsWith('/')) return { wrong: `${shown}: '/' at position 1: a dataset begins with its pool's name` };
  if (text.endsWith('/')) return { wrong: `${shown}: '/' at position ${text.length}: a dataset does not end with '/'` };
  let position = 1;
  for (const part of text.split('/')) {
    if (part === '') return { wrong: `${shown}: '//' at position ${position - 1}: a part of the name is empty` };
    if (part === '.' || part === '..') return { wrong: `${shown}: '${part}' at position ${position} is not a name` };
    position += part.length + 1;
  }
  const pool = text.split('/', 1)[0] ?? '';
  if (!/^[A-Za-z]/.test(pool))
    return { wrong: `${shown}: '${printable(text[0] ?? '')}' at position 1: a pool's name begins with a letter` };
  if (RESERVED_POOL.test(pool)) return { wrong: `${shown}: '${pool}' cannot be a pool, ZFS keeps that word for itself` };
  return { value: text };
};

const FACTORS = { '': 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3 } as const;

/** truenas-api 9.1: volblocksize. */
export const BLOCK_SIZES = ['512', '1K', '2K', '4K', '8K', '16K', '32K', '64K', '128K'] as const;

/** `16K`, `16k`, `16KiB` or `16384`: bytes, a power of two from 512 to 128K (truenas-api 5, F-409). */
export const blocksizeRule: TextRule<number> = (text) => {
  const parts = /^(\d{1,9})([KMG]?)(?:i?B)?$/i.exec(text);
  const bytes = parts === null ? 0 : Number(parts[1]) * FACTORS[(parts[2] ?? '').toUpperCase() as keyof typeof FACTORS];
  if (bytes < 512 || bytes > 128 * 1024 || (bytes & (bytes - 1)) !== 0) {
    return { wrong: `'${printable(text)}' is none of TrueNAS's block sizes (${BLOCK_SIZES.join(', ')})` };
  }
  return { value: bytes };
};

/** RFC 7143 section 4.2.7.2 and NVMe Base Specification 2.0 section 4.5: year and month from when the domain was ours. */
const QUALIFIED = /^(?:iqn|nqn)\.(\d{4})-(\d{2})\.([^:]*)(?::(.*))?$/i;
const DOMAIN = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/i;
/** Both standards: bytes of a name. */
const MAX_QUALIFIED = 223;

/** What is wrong with `iqn.YYYY-MM.reverse.domain[:name]` (or `nqn.`), null when nothing is. */
function qualifiedFault(text: string, kind: 'IQN' | 'NQN'): string | null {
  const shown = `'${printable(text)}'`;
  if (Buffer.byteLength(text) > MAX_QUALIFIED) return `has ${Buffer.byteLength(text)} bytes, an ${kind} has at most ${MAX_QUALIFIED}`;
  const strange = strangeCharacter(text, kind === 'IQN' ? /[A-Za-z0-9.:_-]/ : /[\x21-\x7e]/);
  if (strange !== null) return `${shown} is not an ${kind}: ${strange} is not allowed`;
  const parts = QUALIFIED.exec(text);
  if (parts === null) return `${shown} is not an ${kind}: it begins with ${kind.toLowerCase()}.YEAR-MONTH. and a reversed domain name`;
  const [, , month = '', domain = '', name] = parts;
  if (!/^(?:0[1-9]|1[0-2])$/.test(month)) return `${shown} is not an ${kind}: '${month}' is not a month from 01 to 12`;
  if (!DOMAIN.test(domain)) return `${shown} is not an ${kind}: '${printable(domain)}' is not a reversed domain name`;
  if (name === '') return `${shown} is not an ${kind}: nothing stands after the colon`;
  return null;
}

const TARGET_NAME = /^[-a-z0-9.:]{1,120}$/i;

/** A full IQN or the short name of a target, as TrueNAS allows it (truenas-api 11). */
export const targetRule: TextRule<string> = (text) => {
  if (/^(?:iqn|eui|naa)\./i.test(text)) {
    const wrong = qualifiedFault(text, 'IQN');
    return wrong === null ? { value: text } : { wrong };
  }
  const strange = strangeCharacter(text, /[-A-Za-z0-9.:]/);
  if (strange !== null) return { wrong: `'${printable(text)}': ${strange} is not allowed in a target's name` };
  if (!TARGET_NAME.test(text)) return { wrong: `has ${text.length} characters, a target's name has at most 120` };
  return { value: text };
};

const NQN_UUID = /^nqn\.2014-08\.org\.nvmexpress:uuid:/i;
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** `nqn.YYYY-MM.reverse.domain[:name]` or `nqn.2014-08.org.nvmexpress:uuid:UUID`. */
export const nqnRule: TextRule<string> = (text) => {
  const uuid = NQN_UUID.exec(text);
  if (uuid !== null && !UUID.test(text.slice(uuid[0].length)))
    return { wrong: `'${printable(text)}' is not an NQN: no UUID stands after uuid:` };
  const wrong = qualifiedFault(text, 'NQN');
  return wrong === null ? { value: text } : { wrong };
};

/** CHAP user as written into the initiator's record: one word. */
export const chapUserRule: TextRule<string> = (text) => {
  if (text.length > 255) return { wrong: 'longer than 255 characters' };
  const strange = strangeCharacter(text, /\S/u);
  if (strange !== null) return { wrong: `'${printable(text)}': ${strange} is a blank` };
  return { value: text };
};
