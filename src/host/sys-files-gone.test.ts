import { expect, it } from 'vitest';
import { orNull } from './sys-files.ts';

const failing = (code: string) => (): Promise<string> => Promise.reject(Object.assign(new Error(`${code}: failed`), { code }));

// F-114: attach took the ENOTCONN of a session that was just coming back for a name that cannot be resolved, and gave up at once.
it.each(['ENOTCONN', 'ENODEV', 'ENXIO', 'EINVAL', 'ESRCH', 'ENOENT'])('an attribute that answers %s has nothing to say', async (code) => {
  await expect(orNull(failing(code))).resolves.toBeNull();
});

it.each(['EIO', 'EACCES', 'EMFILE'])('%s is told', async (code) => {
  await expect(orNull(failing(code))).rejects.toMatchObject({ code });
});
