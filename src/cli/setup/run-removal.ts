import { asStorageError, StorageError } from '../../core/errors.ts';
import { assertGoingOn } from '../../setup/apply.ts';
import { lookAt } from '../../setup/look.ts';
import { markOf } from '../../setup/marks.ts';
import { removalFor } from '../../setup/removal.ts';
import { differences, sectionFor } from '../../setup/storage-section.ts';
import type { SetupRun } from './run-setup.ts';

/** What `--remove` would take away, what stays for which reason, and why nothing may go at all. */
export async function removalOf({ answers, owner, array, pve, fingerprint, tell }: SetupRun) {
  tell('doing', 'looking at TrueNAS');
  const look = await lookAt(array, answers);
  const { removals, stays } = removalFor(answers, owner, look);
  const section = await pve.section(answers.storage);
  const held = await pve.key(answers.storage);
  const ours = look.keys.find(({ name }) => name === markOf(owner));
  const problems: string[] = [];
  const volumes = look.datasets.filter(({ id }) => id.startsWith(`${answers.dataset}/`)).length;
  if (volumes > 0) problems.push(`${answers.dataset} holds ${volumes} volume(s) or dataset(s)`);
  if (section !== null) {
    const otherwise =
      section.type === 'truenasplugin' ? differences(sectionFor(answers, look, fingerprint), section.properties) : [section.type];
    if (otherwise.length > 0) problems.push(`the storage ${answers.storage} in PVE is not as setup made it: ${otherwise.join('; ')}`);
    else if (ours === undefined || held?.startsWith(`${ours.id}-`) !== true) {
      problems.push(`the storage ${answers.storage} in PVE uses a key that setup did not make`);
    }
  }
  return { removals, stays, section, problems, ownKey: ours !== undefined && held?.startsWith(`${ours.id}-`) === true };
}

/** Deletes it, the storage in PVE first. Errors: SETUP_REFUSED while volumes are there or where something could not go. */
export async function remove(run: SetupRun, found: Awaited<ReturnType<typeof removalOf>>): Promise<void> {
  const { answers, array, pve, tell, stop } = run;
  if (found.problems.length > 0) {
    throw new StorageError('SETUP_REFUSED', found.problems.join('\n'), {
      hints: [`pvesm list ${answers.storage}`, `pvesm remove ${answers.storage}`],
      state: 'nothing was removed',
    });
  }
  assertGoingOn(stop);
  if (found.section !== null) {
    tell('doing', `removing the storage ${answers.storage} from PVE`);
    await pve.removeStorage(answers.storage);
    tell('undone', `storage ${answers.storage} in PVE`);
  }
  if (found.ownKey) await pve.keepKey(answers.storage, null);
  // What came between the look and now stays: from here on no node makes a volume.
  const { removals } = removalFor(answers, run.owner, await lookAt(array, answers));
  const failed: string[] = [];
  for (const { what, request } of removals) {
    assertGoingOn(stop);
    tell('doing', `removing ${what}`);
    try {
      await array.call(request);
      tell('undone', what);
    } catch (error) {
      const why = `${what}: ${asStorageError(error).message}`;
      tell('failed', why);
      failed.push(why);
    }
  }
  if (failed.length > 0) throw new StorageError('SETUP_REFUSED', failed.join('\n'), { state: 'the rest was removed' });
}
