import { isIP, isIPv4, isIPv6 } from 'node:net';
import type { PortalAddress } from '../core/host-port.ts';
import { printable } from '../core/volume-name.ts';
import { strangeCharacter } from './characters.ts';
import type { TextRule } from './setting.ts';

const HOSTNAME = /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*\.?$/i;
const DOTTED = /^[0-9.]+$/;

function hostOf(text: string): { readonly value: string } | { readonly wrong: string } {
  if (isIP(text) !== 0) return { value: text };
  const inner = /^\[(.*)\]$/.exec(text)?.[1];
  if (inner !== undefined) return isIPv6(inner) ? { value: inner } : { wrong: `'${printable(text)}' is not an IPv6 address in brackets` };
  if (/^[a-z]+:\/\//i.test(text)) return { wrong: `'${printable(text)}' is a URL, only the host name or address is wanted` };
  // 192.000.002.010 is read as octal by some layers and as decimal by others: neither reading is taken (F-412)
  if (DOTTED.test(text)) return { wrong: `'${printable(text)}' is not an IPv4 address (four numbers 0 to 255 without leading zeros)` };
  if (HOSTNAME.test(text)) return { value: text };
  const strange = strangeCharacter(text, /[A-Za-z0-9_.-]/);
  const why = strange === null ? '' : `: ${strange} is not allowed`;
  return { wrong: `'${printable(text)}' is neither a host name nor an IP address${why}` };
}

/** Host of the management API: name, IPv4, or IPv6 with or without brackets; given back without them (F-010, F-401). */
export const hostRule: TextRule<string> = (text) => {
  const port = /^([^:]+|\[.*\]):(\d+)$/.exec(text)?.[2];
  if (port !== undefined) return { wrong: `'${printable(text)}' has a port; the port has a setting of its own, api_port` };
  return hostOf(text);
};

const ISCSI_PORT = 3260;

/** `IP`, `IP:port`, `[v6]`, `[v6]:port` or a bare IPv6 address; the port defaults to 3260. */
export const portalRule: TextRule<PortalAddress> = (text) => {
  if (isIPv6(text)) return { value: { host: text, port: ISCSI_PORT } };
  const parts = /^(\[.*\]|[^:[\]]*)(?::(.*))?$/.exec(text);
  if (parts === null) return { wrong: `'${printable(text)}': an IPv6 address with a port is written [address]:port` };
  const [, host = '', port] = parts;
  const checked = hostOf(host);
  if ('wrong' in checked) return { wrong: host === '' ? `'${printable(text)}' has no address` : checked.wrong };
  if (port === undefined) return { value: { host: checked.value, port: ISCSI_PORT } };
  const number = /^[1-9][0-9]{0,4}$/.test(port) ? Number(port) : 0;
  if (number < 1 || number > 65535) return { wrong: `'${printable(text)}': '${printable(port)}' is not a port from 1 to 65535` };
  return { value: { host: checked.value, port: number } };
};

const MAX_PORTALS = 64;
/** Wrong portals of one list that a message names. */
const MAX_WRONG = 5;

/** Comma-separated portals; empty items are passed over, repeated ones kept once. */
export const portalListRule: TextRule<readonly PortalAddress[]> = (text) => {
  const found: PortalAddress[] = [];
  const wrong: string[] = [];
  for (const item of text.split(',')) {
    if (item.trim() === '') continue;
    const one = portalRule(item.trim());
    if ('wrong' in one) wrong.push(one.wrong);
    else found.push(one.value);
  }
  if (wrong.length > MAX_WRONG) wrong.splice(MAX_WRONG, Infinity, `and ${wrong.length - MAX_WRONG} more`);
  if (wrong.length > 0) return { wrong: wrong.join('; ') };
  if (found.length > MAX_PORTALS) return { wrong: `${found.length} portals are more than the ${MAX_PORTALS} that are possible` };
  return { value: distinctPortals(found) };
};

/** Each portal once, in the spelling it had first. */
export function distinctPortals(portals: readonly PortalAddress[]): readonly PortalAddress[] {
  const seen = new Set<string>();
  return portals.filter((portal) => {
    const key = portalKey(portal);
    const fresh = !seen.has(key);
    seen.add(key);
    return fresh;
  });
}

/** The same text for the same address, however its IPv6 form was written. */
function portalKey(portal: PortalAddress): string {
  const host = isIPv4(portal.host) || !isIPv6(portal.host) ? portal.host.toLowerCase() : new URL(`http://[${portal.host}]`).hostname;
  return `${host} ${portal.port}`;
}

/** `wss` and `ws`; `https` and `http` mean the same (F-403). */
export const schemeRule: TextRule<'wss' | 'ws'> = (text) => {
  switch (text.toLowerCase()) {
    case 'wss':
    case 'https':
      return { value: 'wss' };
    case 'ws':
    case 'http':
      return { value: 'ws' };
    default:
      return { wrong: `'${printable(text)}' is no scheme` };
  }
};

/** A SHA-256 fingerprint in any usual spelling, given back as upper-case pairs with colons. */
export const fingerprintRule: TextRule<string> = (text) => {
  const hex = text.replace(/^sha-?256[ :=]*(?:fingerprint=)?/i, '').replace(/[: ]/g, '');
  if (!/^[0-9a-f]*$/i.test(hex))
    return { wrong: `'${printable(text)}' is not a fingerprint: only hexadecimal digits and colons are allowed` };
  if (hex.length === 40) return { wrong: 'this is a SHA-1 fingerprint (20 bytes); SHA-256 has 32' };
  if (hex.length !== 64) return { wrong: `'${printable(text)}' has ${hex.length} hexadecimal digits, a SHA-256 fingerprint has 64` };
  return { value: (hex.toUpperCase().match(/../g) ?? []).join(':') };
};

/** An absolute path without `..`. */
export const pathRule: TextRule<string> = (text) => {
  if (!text.startsWith('/')) return { wrong: `'${printable(text)}' is not an absolute path` };
  if (text.split('/').includes('..')) return { wrong: `'${printable(text)}' leads upwards with '..'` };
  return { value: text };
};

/** Owner of an API key; TrueNAS user names have at most 32 characters, directory users more (`DOMAIN\\name`). */
export const usernameRule: TextRule<string> = (text) => {
  if (text.length > 256) return { wrong: 'longer than 256 characters' };
  const strange = strangeCharacter(text, /\S/u);
  if (strange !== null) return { wrong: `'${printable(text)}': ${strange} is a blank` };
  return { value: text };
};
