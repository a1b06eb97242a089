import { posix } from 'node:path';
import { MemoryFiles } from '../../host/testing/memory-files.ts';
import { LINUX, recorded } from '../../host/testing/recordings.ts';

/** The sessions, block devices and links of a recorded node: lines `PATH -> LINK`, `PATH = VALUE` and `PATH is a block device`. */
export function recordedNode(situation: string): MemoryFiles {
  const files = new MemoryFiles();
  const links = new Map<string, string>();
  // what lies below a link lies where that leads to
  const real = (path: string): string => {
    const via = [...links.keys()].find((link) => path.startsWith(`${link}/`));
    return via === undefined ? path : `${links.get(via)}${path.slice(via.length)}`;
  };
  for (const line of recorded(`${LINUX}/${situation}`).stdout.trim().split('\n')) {
    const [, path = '', how, what = ''] = /^(\S+) (->|=|is) ?(.*)$/.exec(line) ?? [];
    const at = real(path);
    if (how === '->') {
      links.set(path, posix.resolve(posix.dirname(at), what));
      files.putLink(at, what);
    } else if (how === '=') files.put(at, what);
    else if (how === 'is') files.putBlock(at);
  }
  // always there, also when nothing is
  files.put('/sys/kernel/uevent_seqnum', '1');
  return files;
}
