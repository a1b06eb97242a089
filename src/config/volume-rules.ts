import { printable } from '../core/volume-name.ts';
import type { TextRule } from './setting.ts';

/** Names that ZFS keeps for vdev types: a pool cannot begin with them (zpool(8): mirror, raidz, draid, spare, log). */
const RESERVED_POOL = /^(?:mirror|raidz|draid|spare|log$)/;
/** ZFS allows 255 for the whole name of a volume and TrueNAS 25.04 200 (truenas-api 5); the volume's own part needs room. */
const MAX_DATASET = 180;

/** A dataset by ZFS's own rules (zfs(8)): letters, digits, `_ - . :` and blanks, components divided by one `/`. */
export const datasetRule: TextRule<string> = (text) => {
  const shown = `'${printable(text)}'`;
  if (text.startsWith('/mnt/')) return { wrong: `${shown} is a mount path; the dataset is '${printable(text.slice('/mnt/'.length))}'` };
  const bad = /[^A-Za-z0-9_.:/ -]/u.exec(text);
  if (bad !== null) return { wrong: `${shown}: character '${printable(bad[0])}' at position ${bad.index + 1} is not allowed` };
  if (text.length > MAX_DATASET)
    return { wrong: `has ${text.length} characters, at most ${MAX_DATASET} leave room for the volumes' names` };
  if (text.startsWith('/')) return { wrong: `${shown}: '/' at position 1: a dataset begins with its pool's name` };
  if (text.endsWith('/')) return { wrong: `${shown}: '/' at position ${text.length}: a dataset does not end with '/'` };
  let position = 1;
  for (const part of text.split('/')) {
    if (part === '') return { wrong: `${shown}: '//' at position ${position - 1}: a part of the name is empty` };
    if (part === '.' || part === '..') return { wrong: `${shown}: '${part}' at position ${position} is not a name` };
    if (part !== part.trim()) return { wrong: `${shown}: blank at the edge of the part at position ${position}` };
    position += part.length + 1;
  }
  const pool = text.split('/', 1)[0] ?? '';
  if (!/^[A-Za-z]/.test(pool))
    return { wrong: `${shown}: '${printable(text[0] ?? '')}' at position 1: a pool's name begins with a letter` };
  if (RESERVED_POOL.test(pool)) return { wrong: `${shown}: '${pool}' cannot be a pool, ZFS keeps that word for itself` };
  return { value: text };
};

const FACTORS = { '': 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3 } as const;

/** `16K`, `16k`, `16KiB` or `16384`: bytes, a power of two from 512 to 128K (truenas-api 5, F-409). */
export const blocksizeRule: TextRule<number> = (text) => {
  const parts = /^(\d{1,9})([KMG]?)(?:i?B)?$/i.exec(text);
  const bytes = parts === null ? 0 : Number(parts[1]) * FACTORS[(parts[2] ?? '').toUpperCase() as keyof typeof FACTORS];
  if (bytes < 512 || bytes > 128 * 1024 || (bytes & (bytes - 1)) !== 0) return { wrong: `'${printable(text)}' is no block size` };
  return { value: bytes };
};

const IQN = /^iqn\.\d{4}-(0[1-9]|1[0-2])\.[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[a-z0-9.:_-]+)?$/i;
const TARGET_NAME = /^[-a-z0-9.:]{1,120}$/i;

/** A full IQN (RFC 7143 section 4.2.7.2) or the short name of a target, as TrueNAS allows it (truenas-api 7). */
export const targetRule: TextRule<string> = (text) => {
  if (/^(?:iqn|eui|naa)\./i.test(text)) {
    if (text.length > 223) return { wrong: `has ${text.length} characters, an iSCSI name has at most 223` };
    if (!IQN.test(text)) return { wrong: `'${printable(text)}' is not an IQN` };
    return { value: text };
  }
  const bad = /[^-a-z0-9.:]/i.exec(text);
  if (bad !== null)
    return {
      wrong: `'${printable(text)}': character '${printable(bad[0])}' at position ${bad.index + 1} is not allowed in a target's name`,
    };
  if (!TARGET_NAME.test(text)) return { wrong: `has ${text.length} characters, a target's name has at most 120` };
  return { value: text };
};

/** CHAP user as written into the initiator's record: one word. */
export const chapUserRule: TextRule<string> = (text) => {
  if (text.length > 255) return { wrong: 'longer than 255 characters' };
  if (/\s/.test(text)) return { wrong: `'${printable(text)}' contains a blank` };
  return { value: text };
};
