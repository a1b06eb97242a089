import type { LabAgent } from '../lab-agent.ts';
import { type PoolReport, parseReport } from './pool-report.ts';

/** s that one script may take on a machine whose VM shares its processors with a whole build */
const SCRIPT_SECONDS = 300;

/**
 * One step of a script:
 * `zfs` runs zfs(8) with these words, `try` as well but goes on when it fails, `device` waits for the node of a volume (RP-03),
 * `open` and `close` hold a volume open and let it go, `sync` writes out everything, `fill` and `empty` take all space of the
 * pool and give it back, `holds` lists the holds of these snapshots.
 */
export type Step = readonly [kind: 'zfs' | 'try' | 'device' | 'open' | 'close' | 'sync' | 'fill' | 'empty' | 'holds', ...words: string[]];

/** What a script came to. */
export interface Outcome {
  /** what zfs(8) said when a step failed, else null; the steps after it did not run */
  readonly refusal: string | null;
  readonly report: PoolReport;
}

/**
 * Runs the steps of standard input: for each the number of its words and the words, every one ended by a NUL. Words never
 * become part of the script's text. Prints, each ended by a NUL: the status of the steps, what the failed one said, all
 * properties as JSON, `zpool list`, the holds that were asked for.
 *
 * A volume is busy for a moment after it was made or unmapped, because udev looks at it (RP-02); TrueNAS destroys volumes
 * that udev is done with, so a busy one is tried again once udev is.
 */
const SCRIPT = String.raw`
mapfile -d '' -t A
pool=\${A[0]}; i=1; status=0; said=; holds=
reserve=$pool/.system
run() {
  local n
  for n in 1 2 3; do
    said=$(zfs "$@" 2>&1 > /dev/null) && { said=; return 0; }
    [[ $1 == destroy && $said == *'dataset is busy'* ]] || return 1
    udevadm settle -t 5
  done
  return 1
}
wait_node() {
  local n
  for ((n = 0; n < 200; n++)); do [[ -b /dev/zvol/$1 ]] && return 0; sleep 0.05; done
  said="/dev/zvol/$1 did not appear"
  return 1
}
keep_open() {
  wait_node "$1" || return 1
  setsid bash -c 'exec 3<"$1"; echo $$ > "$2"; exec sleep infinity' - "/dev/zvol/$1" "/run/zfs/open-$2" > /dev/null 2>&1 < /dev/null &
  local n
  for ((n = 0; n < 200; n++)); do [[ -s /run/zfs/open-$2 ]] && return 0; sleep 0.05; done
  said="$1 could not be opened"
  return 1
}
let_go() {
  [[ -s /run/zfs/open-$1 ]] || return 0
  kill "$(< "/run/zfs/open-$1")" 2> /dev/null
  rm -f "/run/zfs/open-$1"
}
fill() {
  zfs list "$reserve" > /dev/null 2>&1 || run create -o canmount=off "$reserve" || return 1
  zpool sync "$pool"
  local free; free=$(zfs get -Hpo value available "$pool")
  run set "reservation=$((free + $(zfs get -Hpo value used "$reserve")))" "$reserve"
}
while ((i < \${#A[@]})); do
  n=\${A[i]}; W=("\${A[@]:i+1:n}"); i=$((i + 1 + n))
  case \${W[0]} in
    zfs) run "\${W[@]:1}" ;;
    try) run "\${W[@]:1}"; said= ;;
    device) wait_node "\${W[1]}" ;;
    open) keep_open "\${W[1]}" "\${W[2]}" ;;
    close) let_go "\${W[1]}" ;;
    sync) zpool sync "$pool" ;;
    fill) fill ;;
    empty) run destroy -r "$reserve" ;;
    holds) holds=$(zfs holds -Hp -- "\${W[@]:1}" 2> /dev/null); true ;;
  esac || { status=1; break; }
done
printf '%s\0%s\0' "$status" "$said"
zfs get -j -p -r -t filesystem,volume,snapshot all "$pool"
printf '\0%s\0%s\0' "$(zpool list -Hp -o size,alloc,free "$pool")" "$holds"
`.replaceAll('\\$', '$');

/** Changes and reads one pool of a VM of the lab, one script for each call. */
export class PoolShell {
  readonly pool: string;
  private readonly agent: LabAgent;

  constructor(agent: LabAgent, pool: string) {
    this.agent = agent;
    this.pool = pool;
  }

  /** The steps in order up to the first that fails, then what the pool holds. Errors: Error when the VM does not answer. */
  async run(steps: readonly Step[]): Promise<Outcome> {
    const words = [this.pool, ...steps.flatMap((step) => [String(step.length), ...step])];
    const result = await this.agent.run(SCRIPT, { seconds: SCRIPT_SECONDS, stdin: words.map((word) => `${word}\0`).join('') });
    const [status, said, properties, sizes, holds] = result.stdout.toString('utf8').split('\0');
    if (status === undefined || said === undefined || properties === undefined || sizes === undefined || holds === undefined) {
      throw new Error(`the VM of the lab could not read pool '${this.pool}' (exit ${result.status}): ${result.stderr.trim()}`);
    }
    return { refusal: status === '0' ? null : said.trim(), report: parseReport(properties, sizes, holds) };
  }
}

/** Runs steps against the pool and brings the tables up to date. Errors: ZfsError when ZFS refuses one. */
export type Change = (steps: readonly Step[]) => Promise<void>;
