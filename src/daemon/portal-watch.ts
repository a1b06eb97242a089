import { deadlineAfter } from '../core/deadline.ts';
import type { PortalAddress } from '../core/host-port.ts';
import type { Clock, Deadline } from '../core/ports.ts';
import { Hysteresis } from '../volumes/hysteresis.ts';
import { PORTAL_MS, portalText } from '../volumes/inspect/portals.ts';

/** ms between two looks at a portal that is as it was, and at one that seems to change or is dead. */
const EVERY_MS = { calm: 60_000, uneasy: 5_000 } as const;
/** One lost SYN is no dead portal. */
const LOOKS = { on: 2, off: 2 } as const;

type ProbePortal = (portal: PortalAddress, deadline: Deadline) => Promise<void>;

interface Watched {
  readonly address: PortalAddress;
  readonly dead: Hysteresis;
  /** monotonic ms */
  nextLook: number;
  look: Promise<void> | null;
}

/** Knows which portals answer, by a TCP connection now and then: one for all storages that use a portal. */
export class PortalWatch {
  readonly #clock: Clock;
  readonly #stop: AbortSignal;
  readonly #portals = new Map<string, Watched>();

  constructor(clock: Clock, stop: AbortSignal) {
    this.#clock = clock;
    this.#stop = stop;
  }

  /** Those of `portals` that do not answer, as text. Asks nobody. */
  dead(portals: readonly PortalAddress[]): readonly string[] {
    return portals.map(portalText).filter((text) => this.#portals.get(text)?.dead.on === true);
  }

  /** Starts to look at those that are due, and forgets all others; `probe` is how to look. */
  look(portals: readonly PortalAddress[], probe: ProbePortal): void {
    const wanted = new Map(portals.map((portal) => [portalText(portal), portal]));
    for (const text of [...this.#portals.keys()]) if (!wanted.has(text)) this.#portals.delete(text);
    for (const [text, address] of wanted) {
      const watched: Watched = this.#portals.get(text) ?? { address, dead: new Hysteresis(LOOKS), nextLook: 0, look: null };
      this.#portals.set(text, watched);
      if (watched.look === null && watched.nextLook <= this.#clock.monotonic()) {
        watched.look = this.#lookAt(watched, probe).finally(() => {
          watched.look = null;
        });
      }
    }
  }

  /** Resolves when no look is under way; the stop signal ends those that are. */
  async end(): Promise<void> {
    await Promise.all([...this.#portals.values()].map(async ({ look }) => look));
  }

  async #lookAt(watched: Watched, probe: ProbePortal): Promise<void> {
    const deadline = deadlineAfter(this.#clock, PORTAL_MS, 'connecting to the portal', this.#stop);
    const failed = await probe(watched.address, deadline).then(
      () => false,
      () => true,
    );
    deadline.release();
    if (this.#stop.aborted) return;
    watched.dead.see(failed);
    const uneasy = watched.dead.on || watched.dead.turning;
    watched.nextLook = this.#clock.monotonic() + (uneasy ? EVERY_MS.uneasy : EVERY_MS.calm);
  }
}
