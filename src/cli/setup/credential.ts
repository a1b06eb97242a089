import { readFile } from 'node:fs/promises';
import { unusable } from '../../setup/answers.ts';
import type { AdminCredential } from '../../setup/session.ts';
import type { CliIo } from '../io.ts';
import { clean } from '../render/text.ts';
import type { Interview } from './interview.ts';

export interface SecretOptions {
  readonly passwordFile?: string;
  readonly keyFile?: string;
}

/** What TrueNAS's keys look like (truenas-api 3); no password is taken for one by chance. */
const KEY = /^\d{1,9}-[A-Za-z0-9]{64}$/;

/** The administrator's secret from a file or the environment, null where there is none. Never from an argument: these are visible to every user. */
export async function givenCredential(options: SecretOptions, username: string, io: CliIo): Promise<AdminCredential | null> {
  const { passwordFile, keyFile } = options;
  if (passwordFile !== undefined && keyFile !== undefined) throw unusable('--password-file and --key-file exclude each other');
  if (passwordFile !== undefined) return { username, password: await firstLine(passwordFile, io) };
  if (keyFile !== undefined) return { username, apiKey: await firstLine(keyFile, io) };
  const { PVE_TRUENAS_ADMIN_PASSWORD: password = '', PVE_TRUENAS_ADMIN_KEY: apiKey = '' } = io.env;
  if (password !== '') return { username, password };
  return apiKey === '' ? null : { username, apiKey };
}

/** Asks for it without showing what is typed. */
export async function typedCredential(interview: Interview, username: string): Promise<AdminCredential> {
  const typed = await interview.secret(`password or API key of ${username} on TrueNAS (not shown, kept nowhere)`);
  if (typed === '') throw unusable('no password or key of the administrator was given');
  return KEY.test(typed.trim()) ? { username, apiKey: typed.trim() } : { username, password: typed };
}

export function noCredential(): Error {
  return unusable('no password or key of the administrator was given', [
    'PVE_TRUENAS_ADMIN_PASSWORD or PVE_TRUENAS_ADMIN_KEY in the environment',
    '--password-file FILE or --key-file FILE; - is standard input',
  ]);
}

async function firstLine(file: string, io: CliIo): Promise<string> {
  const text = file === '-' ? await io.input?.() : await read(file);
  const line = text?.split('\n', 1)[0]?.replace(/\r$/, '') ?? '';
  if (line === '') throw unusable(`${file === '-' ? 'standard input' : clean(file)} holds no password or key in its first line`);
  return line;
}

async function read(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw unusable(`${clean(file)} cannot be read${error instanceof Error && 'code' in error ? ` (${String(error.code)})` : ''}`);
  }
}
