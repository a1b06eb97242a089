import { randomBytes } from 'node:crypto';

/** What initiators see as `wwn-0x6589cfc000000...`: OUI of iXsystems and 19 random hex digits (truenas-api 11). */
export function newNaa(): string {
  return `0x6589cfc000000${randomBytes(10).toString('hex').slice(0, 19)}`;
}

/** 15 random hex digits that are in none of `used`. */
export function newSerial(used: ReadonlySet<string>): string {
  for (;;) {
    const serial = randomBytes(8).toString('hex').slice(0, 15);
    if (!used.has(serial)) return serial;
  }
}

/** SCST's device name of an extent: '.' becomes '_', '/' becomes '-' (truenas-api 11). */
export function flattenedName(name: string): string {
  return name.replaceAll('.', '_').replaceAll('/', '-');
}
