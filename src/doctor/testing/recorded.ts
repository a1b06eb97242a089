import { readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { MemoryFiles } from '../../host/testing/memory-files.ts';

const RECORDED = join(import.meta.dirname, '../../host/testing/recorded');

/** Where the files of test/lab/record/doctor-outputs come from. */
export const LINUX = 'linux-6.12.117+deb13-amd64';

interface Recorded {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** What a program said in a VM with real targets, sessions and multipath (test/lab/record). */
export function recorded(name: string): Recorded {
  const text = readFileSync(join(RECORDED, `${name}.txt`), 'utf8');
  const [, exit, stdout, stderr] = /^\$ .*\nexit (\d+)\n--- stdout\n([^]*)--- stderr\n([^]*)$/.exec(text) ?? [];
  if (exit === undefined || stdout === undefined || stderr === undefined) throw new Error(`${name} is no recording`);
  return { exitCode: Number(exit), stdout, stderr };
}

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
