import type { LabAgent } from './lab-agent.ts';

/** s that one script may take on a machine whose VM shares its processors with a whole build */
const SCRIPT_SECONDS = 120;

/** One change below /sys/kernel/config; paths are relative to it. A value is written by one write(2), without an end of line. */
export type ConfigStep =
  | readonly [kind: 'mkdir' | 'rmdir' | 'unlink', path: string]
  | readonly [kind: 'write', path: string, value: string]
  | readonly [kind: 'link', target: string, path: string];

/** What is read of configfs. */
export interface ConfigQuery {
  readonly roots: readonly string[];
  /** names of directories that are left out, as a regular expression of Perl */
  readonly skip: string;
  /** paths of attributes that are read */
  readonly files: string;
  /** block devices whose numbers are looked up */
  readonly devices: readonly string[];
}

export interface ConfigTree {
  readonly directories: ReadonlySet<string>;
  /** path → what it leads to, both relative to /sys/kernel/config */
  readonly links: ReadonlyMap<string, string>;
  /** path → value without NULs and blanks at its end */
  readonly files: ReadonlyMap<string, string>;
  /** path of a block device that is there → `major:minor` */
  readonly devices: ReadonlyMap<string, string>;
}

// Both programs take what they work on as words on standard input, each ended by a NUL; none becomes part of their text.
const PROLOGUE = String.raw`
local $/; my @w = split /\0/, <STDIN>, -1; pop @w; chdir "/sys/kernel/config" or die "no configfs: $!\n";`;

/** Prints kind, path and value of everything, each ended by a NUL. */
const READ = String.raw`${PROLOGUE}
my ($skip, $files, $roots, @rest) = @w;
sub value { open my $h, "<", $_[0] or return ""; my $v = <$h> // ""; $v =~ tr/\0//d; $v =~ s/\s+\z//; $v }
sub walk {
  my $d = shift; opendir my $h, $d or return;
  for my $n (sort readdir $h) {
    next if $n eq "." or $n eq "..";
    my $p = "$d/$n";
    if (-l $p) { print "l\0$p\0", readlink $p, "\0" }
    elsif (-d _) { next if $n =~ /$skip/; print "d\0$p\0\0"; walk($p) }
    elsif ($p =~ /$files/) { print "f\0$p\0", value($p), "\0" }
  }
}
walk($_) for splice @rest, 0, $roots;
for (@rest) {
  my @s = stat or next; -b _ or next;
  printf "b\0%s\0%d:%d\0", $_, ($s[6] >> 8) & 0xfff, ($s[6] & 0xff) | (($s[6] >> 12) & ~0xff);
}`;

/**
 * Runs groups of steps: the first that fails ends its group, the next group is tried all the same. Values are not repeated in
 * errors, since some are secrets.
 */
const CHANGE = String.raw`${PROLOGUE}
my $failed = 0; my $skip = 0;
sub put { open my $h, ">", $_[0] or return 0; defined syswrite $h, $_[1] }
while (@w) {
  my $kind = shift @w;
  if ($kind eq "group") { $skip = 0; next }
  my $path = shift @w; my $value = $kind =~ /^(?:write|link)$/ ? shift @w : undef;
  next if $skip;
  my $done = $kind eq "mkdir" ? (-d $path or mkdir $path) : $kind eq "rmdir" ? (!-e $path or rmdir $path)
    : $kind eq "unlink" ? (!-l $path or unlink $path) : $kind eq "link" ? symlink("/sys/kernel/config/$path", $value)
    : put($path, $value);
  next if $done;
  print STDERR "$kind $path: $!\n"; $failed = $skip = 1;
}
exit $failed;`;

/** Reads and changes the kernel's configuration in a VM of the lab, one script a call. */
export class ConfigfsShell {
  private readonly agent: LabAgent;

  constructor(agent: LabAgent) {
    this.agent = agent;
  }

  /** Errors: Error when the VM does not answer. */
  async read({ skip, files, roots, devices }: ConfigQuery): Promise<ConfigTree> {
    return parseTree(await this.run(READ, [skip, files, String(roots.length), ...roots, ...devices]));
  }

  /**
   * The steps of all groups in order; a step that fails ends its own group only. Errors: Error with the lines of all that failed.
   */
  async change(groups: readonly (readonly ConfigStep[])[]): Promise<void> {
    const words = groups.filter((group) => group.length > 0).flatMap((group) => ['group', ...group.flat()]);
    if (words.length > 0) await this.run(CHANGE, words);
  }

  private async run(program: string, words: readonly string[]): Promise<string> {
    const stdin = words.map((word) => `${word}\0`).join('');
    const { stdout, stderr, status } = await this.agent.run(`exec perl -e '${program}'`, { seconds: SCRIPT_SECONDS, stdin });
    if (status !== 0) throw new Error(`the VM of the lab could not do it (exit ${status}): ${stderr.trim()}`);
    return stdout.toString('utf8');
  }
}

/** Names of the directories in `directory`. */
export function childrenOf({ directories }: ConfigTree, directory: string): string[] {
  const below = [...directories].flatMap((path) => (path.startsWith(`${directory}/`) ? [path.slice(directory.length + 1)] : []));
  return below.filter((path) => !path.includes('/'));
}

/** The answer of the reading program. */
export function parseTree(text: string): ConfigTree {
  const directories = new Set<string>();
  const links = new Map<string, string>();
  const files = new Map<string, string>();
  const devices = new Map<string, string>();
  const words = text.split('\0');
  for (let at = 0; at + 2 < words.length; at += 3) {
    const [kind, path = '', value = ''] = words.slice(at, at + 3);
    if (kind === 'd') directories.add(path);
    // the kernel writes links relative to the link: `../../../../../target/core/...`
    else if (kind === 'l') links.set(path, value.replace(/^(?:\.\.\/)+/, ''));
    else if (kind === 'f') files.set(path, value);
    else if (kind === 'b') devices.set(path, value);
    else throw new Error(`configfs was read as ${JSON.stringify(text.slice(0, 200))}`);
  }
  return { directories, links, files, devices };
}
