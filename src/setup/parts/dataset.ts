import * as z from 'zod';
import { datasetMark, madeBy, markOf, SETUP_PROPERTY } from '../marks.ts';
import { make } from '../requests.ts';
import { type Change, type Context, deletion, type Part } from './part.ts';

/** The dataset and those above it; one that is there is used as it is, unless setup made it for another storage. */
export function datasetPart({ answers: { dataset }, owner, look, problems }: Context): Part {
  const words = dataset.split('/');
  const [pool = ''] = words;
  const found = look.pools.find(({ name }) => name === pool);
  if (found === undefined) problems.push(`there is no pool ${pool}; there are ${look.pools.map(({ name }) => name).join(', ') || 'none'}`);
  else if (!['ONLINE', 'DEGRADED'].includes(found.status)) problems.push(`the pool ${pool} is ${found.status}`);
  if (words.length === 1) problems.push(`the dataset must lie below the pool: ${pool}/proxmox`);
  const levels = words.slice(1).map((_, index) => words.slice(0, index + 2).join('/'));
  const volume = look.datasets.find(({ id, type }) => levels.includes(id) && type !== 'FILESYSTEM');
  if (volume !== undefined) problems.push(`${volume.id} is a volume, no dataset`);
  const there = look.datasets.find(({ id }) => id === dataset);
  const other = there === undefined ? null : madeBy(there);
  if (other !== null && other !== datasetMark(owner, dataset)) {
    // Two storages that list each other's volumes would free each other's volumes.
    problems.push(`the dataset ${dataset} was made for another storage (${other.split(' ')[0] ?? ''}); name another dataset`);
  }
  const missing = levels.filter((level) => !look.datasets.some(({ id }) => id === level));
  const changes = missing.map((name): Change => {
    const value = datasetMark(owner, name);
    const data = { name, type: 'FILESYSTEM', comments: markOf(owner), user_properties: [{ key: SETUP_PROPERTY, value }] };
    return {
      what: `make dataset ${name}`,
      request: () => make('pool.dataset.create', [data], `make dataset ${name}`, z.unknown()),
      undo: () => deletion('pool.dataset.delete', [name, { recursive: false }], `delete dataset ${name}`),
    };
  });
  return { what: `dataset ${dataset}`, changes };
}
