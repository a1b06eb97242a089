import type * as fs from 'node:fs/promises';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import type { SysFiles } from './sys-files.ts';

let files: SysFiles;
// The module is loaded anew, and thrown away again: test files share what is loaded.
beforeAll(async () => {
  vi.resetModules();
  vi.doMock('node:fs/promises', async (original) => ({
    ...(await original<typeof fs>()),
    readFile: (path: string): Promise<string> => Promise.reject(Object.assign(new Error(`${path}: failed`), { code: path.slice(1) })),
  }));
  const { RootedFiles } = await import('./sys-files.ts');
  files = new RootedFiles('/');
});
afterAll(() => {
  vi.doUnmock('node:fs/promises');
  vi.resetModules();
});

// F-114: attach took the ENOTCONN of a session that was just coming back for a name that cannot be resolved, and gave up at once.
it.each(['ENOTCONN', 'ENODEV', 'ENXIO', 'EINVAL', 'ESRCH', 'ENOENT'])('an attribute that answers %s has nothing to say', async (code) => {
  await expect(files.read(`/${code}`)).resolves.toBeNull();
});

it.each(['EIO', 'EACCES', 'EMFILE'])('%s is told', async (code) => {
  await expect(files.read(`/${code}`)).rejects.toMatchObject({ code });
});
