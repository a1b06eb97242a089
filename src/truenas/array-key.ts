import { createHash } from 'node:crypto';
import type { StorageConfig } from '../config/storage-config.ts';

/** The settings that decide how an array is reached and as whom. */
export type ArrayConfig = Pick<
  StorageConfig,
  | 'apiHost'
  | 'apiPort'
  | 'apiScheme'
  | 'apiInsecure'
  | 'fingerprint'
  | 'caFile'
  | 'apiUsername'
  | 'preferIpv4'
  | 'apiTimeoutMs'
  | 'apiRetryMax'
  | 'apiRetryDelayMs'
  | 'connectionMaxAgeMs'
>;

/** Settings that a session takes over while it stands. */
export const TUNING = ['apiTimeoutMs', 'apiRetryMax', 'apiRetryDelayMs', 'connectionMaxAgeMs'] as const;
export type Tuning = Pick<ArrayConfig, (typeof TUNING)[number]>;

/** SHA-256 of an API key in hex: tells keys apart without keeping them. */
export function apiKeyHash(apiKey: string): string {
  return createHash('sha256').update(apiKey.trim()).digest('hex');
}

/**
 * Storages with the same key share one connection. Everything that decides whom we talk to and how safely is part of it:
 * host, port, scheme, TLS settings, address family, user and credential (F-052). `keyHash` is that of `apiKeyHash`.
 * Timeouts, retries and the age are not (`Tuning`): those that were set last count.
 */
export function arrayKey(config: ArrayConfig, keyHash: string): string {
  return JSON.stringify([
    config.apiScheme,
    bareHost(config.apiHost).toLowerCase(),
    config.apiPort,
    config.apiInsecure,
    config.fingerprint === null ? null : normalFingerprint(config.fingerprint),
    config.caFile,
    config.preferIpv4,
    config.apiUsername,
    keyHash,
  ]);
}

/** A host without the brackets of an IPv6 literal: neither DNS nor SNI nor connect() wants them (F-010). */
export function bareHost(host: string): string {
  return host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host;
}

/** `AA:BB:..` in upper case, whatever the separators were. */
export function normalFingerprint(fingerprint: string): string {
  return fingerprint
    .replace(/[^0-9A-Fa-f]/g, '')
    .toUpperCase()
    .replace(/(..)(?=.)/g, '$1:');
}
