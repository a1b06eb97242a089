import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readSecret } from './secrets.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'secrets-'));
});
afterEach(() => rm(folder, { recursive: true }));

const KEY = '1-Zsecretsecret';
async function store(content: string | Buffer, mode = 0o600, name = 'nas.api_key'): Promise<void> {
  await writeFile(join(folder, name), content);
  await chmod(join(folder, name), mode);
}
const failureOf = (section?: Record<string, unknown>) =>
  readSecret(folder, 'nas', 'api_key', section).then(
    () => null,
    (error: unknown) => error,
  );

describe('readSecret', () => {
  it('reads the file and cuts off blanks and the line end', async () => {
    await store(` ${KEY}\n`);
    expect(await readSecret(folder, 'nas', 'api_key', { api_key: 'other' })).toEqual({ value: KEY, inline: false, padded: true });
  });

  it.each(['api_key', 'tn_api_key'])('falls back to %s in the section and says so (F-402)', async (name) => {
    expect(await readSecret(folder, 'nas', 'api_key', { [name]: ` ${KEY} ` })).toEqual({ value: KEY, inline: true, padded: true });
  });

  it('keeps storages and secrets apart', async () => {
    await store('chap secret 12', 0o600, 'nas.chap_password');
    expect(await readSecret(folder, 'nas', 'api_key')).toBeNull();
    expect(await readSecret(folder, 'other', 'chap_password')).toBeNull();
    expect(await readSecret(folder, 'nas', 'chap_password')).toEqual({ value: 'chap secret 12', inline: false, padded: false });
  });

  it('refuses an empty file instead of taking the old key of the section', async () => {
    await store(' \n');
    expect(await failureOf({ api_key: KEY })).toMatchObject({ code: 'SECRET_MISSING' });
  });

  it('refuses a file that others may read, with the cure', async () => {
    await store(KEY, 0o640);
    expect(await failureOf()).toMatchObject({ code: 'CONFIG_INVALID', hints: [`chmod 0600 ${join(folder, 'nas.api_key')}`] });
  });

  it('refuses what is no small text: too long, binary, two lines, a link, a folder', async () => {
    for (const content of ['x'.repeat(1025), Buffer.from([0xff, 0xfe, 0x41]), `${KEY}\nsecond`, 'a\0b']) {
      await store(content);
      const error = await failureOf();
      expect(error).toMatchObject({ code: 'CONFIG_INVALID' });
      expect(String(error)).not.toContain(KEY);
    }
    await rm(join(folder, 'nas.api_key'));
    await symlink('/etc/hostname', join(folder, 'nas.api_key'));
    expect(await failureOf()).toMatchObject({ code: 'CONFIG_INVALID' });
    await rm(join(folder, 'nas.api_key'));
    await mkdir(join(folder, 'nas.api_key'));
    expect(await failureOf()).toMatchObject({ code: 'CONFIG_INVALID' });
  });

  it('leaves the folder for no storage id', async () => {
    for (const id of ['../nas', 'a/b', '', '.'])
      await expect(readSecret(folder, id, 'api_key')).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });

  it('shows a wrong inline secret to nobody', async () => {
    expect(String(await failureOf({ api_key: `${KEY} ${KEY}` }))).not.toContain(KEY);
  });
});
