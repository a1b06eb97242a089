/**
 * A change of several steps that was begun and is not finished (law 5). It says what was meant before the first step is
 * taken; what was really done is found by looking at the array for the owner mark, so that no step needs a note of its own.
 */
export interface OpenOperation {
  /** UUID; also the owner mark of what the operation makes. */
  readonly id: string;
  readonly kind: 'allocate' | 'free';
  /** ms since the epoch */
  readonly begun: number;
  readonly node: string;
  readonly storage: string;
  /** The storage.cfg section as it was, without secrets: the storage may be gone from storage.cfg when this is settled. */
  readonly section: Readonly<Record<string, unknown>>;
  /** Full name of the zvol. */
  readonly zvol: string;
  /** `allocate`: target id. */
  readonly target?: number;
  /** `free`: what the volume was when it was freed, so that a new one of the same name is never taken for it. */
  readonly was?: {
    readonly owner: string | null;
    readonly creation: number | null;
    readonly extent: number | null;
    readonly naa: string | null;
    readonly mappings: readonly number[];
  };
}

/** Where open operations are kept across a crash. */
export interface Journal {
  /** Durable (fsync) when it resolves. */
  begin(operation: OpenOperation): Promise<void>;
  /** Durable when it resolves; no error when it is not there. */
  end(id: string): Promise<void>;
  list(): Promise<readonly OpenOperation[]>;
  /** The caller has its answer, but parts may be left or a call may still be at work on the array: someone has to settle it. */
  leave(operation: OpenOperation): void;
}
